"""Drives the third-party client pyqualys against a simulator: hosts, detections, scans.

usage: pyqualys.py URL USER PASSWORD IP
"""
import sys
import time

from pyqualys import QualysAPI

url, user, password, ip = sys.argv[1:5]
api = QualysAPI(username=user, password=password, host=url + "/")
service = api.service("vulnerability")
service.FORMAT = "json"


def step(name, good):
    print(("ok   " if good else "FAIL ") + name, flush=True)
    if not good:
        sys.exit(1)


def rows(page, root):
    found = page["data"][root]["RESPONSE"]["HOST_LIST"]["HOST"]
    return found if isinstance(found, list) else [found]


HOSTS, DETECTIONS = "HOST_LIST_OUTPUT", "HOST_LIST_VM_DETECTION_OUTPUT"

hosts = rows(service.list_hosts(details="All"), HOSTS)
step("list_hosts: seven hosts", len(hosts) == 7)

pages = list(service.iter_hosts(truncation_limit=3))
step("iter_hosts: three pages", len(pages) == 3)
ids = [host["ID"] for page in pages for host in rows(page, HOSTS)]
step("iter_hosts: every host once", ids == [host["ID"] for host in hosts])

page = service.list_host_detections(truncation_limit=2, show_qds=1, status="New,Active,Re-Opened,Fixed")
first = rows(page, DETECTIONS)
step("list_host_detections: a truncated page", len(first) == 2 and "WARNING" in page["data"][DETECTIONS]["RESPONSE"])
detection = first[0]["DETECTION_LIST"]["DETECTION"][0]
step("list_host_detections: a score with its band", detection["QDS"]["@severity"] in ("LOW", "MEDIUM", "HIGH", "CRITICAL"))

pages = list(service.iter_host_detections(truncation_limit=1, show_igs=1))
step("iter_host_detections: a page per host", len(pages) == 7)
step("iter_host_detections: stops where told", len(list(service.iter_host_detections(max_pages=2, truncation_limit=1))) == 2)

groups = service.list_assets()
step("list_assets: asset groups", groups["status"] == 200 and "ASSET_GROUP" in str(groups["response"]))

scanner = service.scanner


def listed(**kwargs):
    response = scanner.scan_list(**kwargs)["data"]["SCAN_LIST_OUTPUT"]["RESPONSE"]
    if "SCAN_LIST" not in response:
        return []
    scans = response["SCAN_LIST"]["SCAN"]
    return scans if isinstance(scans, list) else [scans]


step("scan_list: empty to begin with", listed() == [])


def start(title):
    answer = scanner.start_scan(option_title="Initial Options", ip=ip, iscanner_name="scanner-hq-1", scan_title=title)
    items = answer["data"]["SIMPLE_RETURN"]["RESPONSE"]["ITEM_LIST"]["ITEM"]
    return {item["KEY"]: item["VALUE"] for item in items}["REFERENCE"]


def wait(reference, state, processed=None):
    for _ in range(300):
        scan = listed(scan_ref=reference)[0]
        if scan["STATUS"]["STATE"] == state and processed in (None, scan["PROCESSED"]):
            return True
        time.sleep(0.05)
    return False


reference = start("a scan to the end")
step("start_scan: a reference", reference.startswith("scan/"))
step("scan_status: it is there", scanner.scan_status(reference)["data"]["SCAN_LIST_OUTPUT"]["RESPONSE"]["SCAN_LIST"]["SCAN"]["REF"] == reference)
step("scan_list: it ends and is processed", wait(reference, "Finished", "1"))

report = scanner.get_scan_report(scan_ref=reference, output_format="json_extended")
step("get_scan_report: JSON", report["type"] == "json" and report["data"][1]["reference"] == reference)
step("get_scan_report: findings", any("qid" in part for part in report["data"]))
report = scanner.get_scan_report(scan_ref=reference, output_format="csv")
step("get_scan_report: CSV", report["type"] == "csv" and '"qid"' in report["data"])

reference = start("a scan that is held and stopped")
step("scan_list: it runs", wait(reference, "Running"))
for action, state in (("pause", "Paused"), ("resume", "Running"), ("cancel", "Canceled")):
    answer = scanner.manage_scan(action=action, scan_ref=reference)
    step("manage_scan: " + action, "TEXT" in answer["data"]["SIMPLE_RETURN"]["RESPONSE"] and wait(reference, state))
scanner.manage_scan(action="delete", scan_ref=reference)
step("manage_scan: delete", listed(scan_ref=reference) == [])

print("all steps done")
