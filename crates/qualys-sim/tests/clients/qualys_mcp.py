"""Drives the third-party client qualys-mcp against a simulator: its reads of the API server and of the gateway.

Nothing it sends is refused; no bug of the client's own is in the way.

usage: qualys_mcp.py HOSTS IP, with QUALYS_BASE_URL, QUALYS_GATEWAY_URL, QUALYS_USERNAME, QUALYS_PASSWORD
"""
import json
import os
import sys
from urllib.request import Request, urlopen

from qualys import aggregators, api

hosts, ip = int(sys.argv[1]), sys.argv[2]


def step(name, good, more=""):
    print(("ok   " if good else "FAIL ") + name + ("" if good else f": {more}"), flush=True)
    if not good:
        sys.exit(1)


# The API server.
detections = api.get_detections(severity="3-5", days=30, use_cache=False)
ids = {row["host_id"] for row in detections}
step("get_detections: over a page of a thousand hosts", len(ids) > 1000, len(ids))
step("get_detections: scored, active", all(row["qds"] > 0 and row["status"] == "Active" for row in detections), detections[:3])
scored = api.get_detections_by_qds(qds_min=90, use_cache=False)
step("get_detections_by_qds: the highest only", scored and min(row["qds"] for row in scored) >= 90, scored[:3])
mine = next(row for row in detections if row["ip"] == ip)
one = api.get_host_detections(mine["host_id"], severity="1-5")
step("get_host_detections: of one host", mine["qid"] in [row["qid"] for row in one], one)
step("get_qds_for_qids", api.get_qds_for_qids([900101, 1]).get(1) == 0 < api.get_qds_for_qids([900101])[900101])
entry = api.get_kb(900005)
step("get_kb: an entry", entry["qid"] == 900005 and len(entry["cves"]) == 4 and entry["solution"], entry)
step("get_kb_batch", set(api.get_kb_batch([900001, 900002, 1])) == {900001, 900002, 1})
step("get_cve_qids", api.get_cve_qids("CVE-2024-47175") == [900005])
scanners = api.get_scanner_list()
step("get_scanner_list: with capacity", len(scanners) == 3 and all(one["maxCapacity"] == 100 for one in scanners), scanners)
step("get_scan_list: empty to begin with", api.get_scan_list() == [])
scheduled = api.get_scheduled_scans()
step("get_scheduled_scans: on and off", [one["active"] for one in scheduled] == [True, True, False], scheduled)
for module in ("vmdr", "csam", "was"):
    step("module_available: " + module, api.module_available(module))

# The gateway.
token = api.get_bearer_token()
step("get_bearer_token", token is not None and token.count(".") == 2, api.AUTH_ERROR)
jobs = api.get_mtg_jobs("Linux", 20)
step("get_mtg_jobs: of a platform", len(jobs) == 2 and all(job["platform"] == "Linux" for job in jobs), jobs)
step("get_mtg_jobs: by status", len(api.get_mtg_jobs("Linux", 20, status="Disabled")) == 1)
job = api.get_mtg_job_detail(jobs[0]["id"])
step("get_mtg_job_detail", job["id"] == jobs[0]["id"] and job["jobCategory"] == 3 and job["qids"], job)
step("get_pm_jobs", [job["subCategory"] for job in api.get_pm_jobs("Windows", 5)] == ["Patch"])
catalogue = api.get_etm_mitigations(200)
step("get_etm_mitigations", len(catalogue) > 20 and all(one["techniqueType"] for one in catalogue), catalogue[:2])
coverage = aggregators.eliminate_coverage(qids=[900002, 1])
found = {one["qid"]: one["hasMitigation"] for one in coverage["coverage"]}
step("eliminate_coverage: by QID", found == {900002: True, 1: False}, coverage)
step("csam_count: every host", api.csam_count() == hosts, api.csam_count())
tagged = api.csam_count([{"field": "asset.tag.name", "operator": "EQUALS", "value": "Windows"}])
step("csam_count: by a tag", 0 < tagged < hosts, tagged)
risky = api.csam_count([{"field": "asset.truRisk", "operator": "GREATER", "value": "500"}])
step("csam_count: by risk", 0 < risky < hosts, risky)

# The client asks this one only where the first catalogue is not licensed.
request = Request(os.environ["QUALYS_GATEWAY_URL"] + "/mtg/v1/mitigations?pageSize=5&pageNumber=1")
request.add_header("Authorization", f"Bearer {token}")
with urlopen(request, timeout=30) as answer:
    second = json.loads(answer.read())
step("/mtg/v1/mitigations: the second page", [one["id"] for one in second] == [one["id"] for one in catalogue[5:10]], second)

print("all steps done")
