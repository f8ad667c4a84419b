"""Drives the third-party client qualys-mcp against Quell: its sign-in, its mitigation calls and what it makes of them;
then the documented calls that it does not have, through its own token, as a script would send them.

usage: qualys_mcp.py QID ASSET_ID, with QUALYS_BASE_URL, QUALYS_GATEWAY_URL, QUALYS_USERNAME, QUALYS_PASSWORD
"""
import json
import os
import sys
from urllib.request import Request, urlopen

from qualys import aggregators, api

qid, asset = int(sys.argv[1]), sys.argv[2]
gateway = os.environ["QUALYS_GATEWAY_URL"]


def step(name, good, more=""):
    print(("ok   " if good else "FAIL ") + name + ("" if good else f": {more}"), flush=True)
    if not good:
        sys.exit(1)


def call(method, path, body=None):
    request = Request(gateway + path, data=None if body is None else json.dumps(body).encode(), method=method)
    request.add_header("Authorization", f"Bearer {api.get_bearer_token()}")
    request.add_header("Content-Type", "application/json")
    with urlopen(request, timeout=30) as answer:
        return json.loads(answer.read())


# What the client does by itself.
token = api.get_bearer_token()
step("get_bearer_token: a JWT by its form", token is not None and token.count(".") == 2, api.AUTH_ERROR)
step("get_mtg_jobs: empty to begin with", api.get_mtg_jobs("Linux", 20) == [])
catalogue = api.get_etm_mitigations(200)
step("get_etm_mitigations: the catalogue", len(catalogue) > 20 and all(m["techniqueType"] for m in catalogue))
coverage = aggregators.eliminate_coverage(qids=[qid, 1])
found = {one["qid"]: one["hasMitigation"] for one in coverage["coverage"]}
step("eliminate_coverage: by QID", found == {qid: True, 1: False}, coverage)

# The documented calls, as a script sends them.
made = call("POST", "/mtg/v1/deploymentjob", {
    "qids": [qid], "assetIds": [asset], "assetTagIds": [], "name": "MTG_LINUX_ONDEMAND", "description": "by a script",
    "scheduleType": "On-demand", "schemaVersion": "1.0", "startDateTime": None, "status": "Disabled", "timezone": None,
    "timezoneType": None, "type": "Install", "filterType": "Any", "exclusionFilterType": "Any", "platform": "Linux",
    "matchAllTagIds": [], "exclusionTagIds": [], "coAuthorUserIds": [],
    "notification": {
        "notificationTypes": {"email": True},
        "notificationConfigs": {"recipientEmails": "a@example.org,b@example.org", "completedPercentage": 80},
        "notificationEvents": {"onJobStart": True, "onJobComplete": True},
    },
})
step("create: disabled, with nulls for its times", made["status"] == "Disabled" and made["startDateTime"] is None, made)
step("create: category", made["jobCategory"] == 3 and made["recurring"] is False and made["qids"] == [qid], made)
step("create: mail", made["notification"]["notificationConfigs"]["completedPercentage"] == 80, made)
changed = call("PATCH", "/mtg/v1/deploymentjob/" + made["id"], {"name": "MTG_LINUX_DEMO", "status": "Disabled"})
step("update: the name", changed["name"] == "MTG_LINUX_DEMO" and changed["id"] == made["id"], changed)
rows = call("POST", "/mtg/v1/deploymentjobs/update/status/Enabled", {"ids": [made["id"]]})
step("status: enabled", rows == [{"id": made["id"], "name": "MTG_LINUX_DEMO", "status": "success"}], rows)
rows = call("POST", "/mtg/v1/deploymentjobs/update/status/Disabled", {"ids": [made["id"]]})
said = "Non-recurring jobs cannot be disabled once enabled by user"
step("status: not disabled again", rows[0]["status"] == "failure" and rows[0]["error"] == said, rows)

# And what the client makes of them.
jobs = api.get_mtg_jobs("Linux", 20)
step("get_mtg_jobs: the job", [job["id"] for job in jobs] == [made["id"]], jobs)
step("get_mtg_jobs: by status", api.get_mtg_jobs("Linux", 20, status="Completed") == [])
step("get_mtg_jobs: by platform", api.get_mtg_jobs("Windows", 20) == [])
detail = api.get_mtg_job_detail(made["id"])
step("get_mtg_job_detail", detail["name"] == "MTG_LINUX_DEMO" and detail["status"] == "Enabled", detail)
status = aggregators.eliminate_status()
linux = status["mitigations"]["linux"]
step("eliminate_status: counts the job", (linux["total"], linux["active"]) == (1, 1), status)
step("eliminate_status: its row", linux["recentJobs"][0]["mitigationActions"] >= 1, linux)
step("eliminate_status: techniques", status["techniqueBreakdown"]["total"] > 20, status)

summary = call("POST", f"/mtg/v1/deploymentjob/{made['id']}/deploymentjobresult/summary", {})
step("summary: the asset", [one["assetId"] for one in summary["assets"]] == [asset], summary)
agent = summary["assets"][0]["agentUUID"]
actions = call(
    "POST", f"/mtg/v1/deploymentjob/{made['id']}/deploymentjobresult/actions?agentUUID={agent}&endDateTime=1751198812665",
    {"query": "actionStatus:[Succeeded,Failed,Skipped,Partial,Pending,Running]"},
)
step("actions: a row per action", actions and all(row["action"] == "Apply Mitigation" for row in actions), actions)
report = call("POST", "/pm/v1/report/mitigationjobprogress/" + made["id"], {})
step("report: its columns", report and {"assetId", "qid", "actionStatus", "mitigationReason"} <= set(report[0]), report)
fixes = call("POST", "/mtg/v1/vulnerabilities/mitigations", {"qids": [qid], "platform": "Linux"})
step("catalogue by QID", [one["qid"] for one in fixes] == [qid] and "Linux" in fixes[0]["vulnMitigation"], fixes)

print("all steps done")
