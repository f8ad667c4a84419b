"""Drives the third-party client qualysdk against a simulator: every call of its that an import or a rescan would make.

Bugs of the client's own that this script walks around, so that no call of its is refused: its threads ignore the concurrency
limit that it read (so one thread is asked for), it takes a single APPLIANCE for a list of them (so none is asked for alone), and
its hosts know no NETWORK_ID (so the subscription has no networks).

usage: qualysdk.py URL USER PASSWORD IP
"""
import sys
import time

from qualysdk.auth.platform_picker import PlatformPicker

url, user, password, ip = sys.argv[1:5]
# Its own way of naming a platform turns http into https, so the table of platforms is changed instead.
for table in ("api_urls", "gateway_urls", "qualysguard_urls"):
    PlatformPicker.urls[table]["qg3"] = url

from qualysdk import BasicAuth, TokenAuth, vmdr


def step(name, good, more=""):
    print(("ok   " if good else "FAIL ") + name + ("" if good else f": {more}"), flush=True)
    if not good:
        sys.exit(1)


auth = BasicAuth(user, password, platform="qg3")
limits = auth.get_ratelimit()
step("BasicAuth: limits", limits["X-Concurrency-Limit-Limit"] == 2 and limits["X-RateLimit-Limit"] == 10000, limits)

entries = vmdr.query_kb(auth, ids="900001,900005")
step("query_kb: two entries", [int(entry.QID) for entry in entries] == [900001, 900005], entries)
step("query_kb: several CVEs", len(entries[1].CVE_LIST) == 4, entries[1].CVE_LIST)

hosts = vmdr.get_host_list(auth, threads=1, details="All", show_asset_id=True, show_tags=True)
step("get_host_list: seven hosts", len(hosts) == 7, len(hosts))
step("get_host_list: the target among them", ip in [str(host.IP) for host in hosts], ip)

detected = vmdr.get_hld(auth, threads=1, show_qds=True, show_tags=True, status="New,Active,Re-Opened,Fixed")
step("get_hld: every host with detections", len(detected) == 7 and all(host.DETECTION_LIST for host in detected), len(detected))
row = detected[0].DETECTION_LIST[0]
step("get_hld: a scored detection", int(row.QID) > 900000 and row.STATUS in ("New", "Active", "Re-Opened", "Fixed"), row)

appliances = vmdr.get_scanner_list(auth)
step("get_scanner_list: three appliances", len(appliances) == 3, appliances)
groups = vmdr.get_ag_list(auth)
step("get_ag_list: asset groups", len(groups) == 4, groups)
step("get_ag_list: page by page", len(vmdr.get_ag_list(auth, truncation_limit=1)) == 4)

static = vmdr.get_static_searchlists(auth)
step("get_static_searchlists: by id", sorted(int(one.ID) for one in static) == [88101, 88102], static)
dynamic = vmdr.get_dynamic_searchlists(auth)
step("get_dynamic_searchlists: QIDs and criteria", len(dynamic) == 1 and len(dynamic[0].QIDS) > 10 and dynamic[0].CRITERIA, dynamic)


def start(title):
    scan = vmdr.launch_scan(auth, option_id=510001, ip=ip, iscanner_name="scanner-hq-1", scan_title=title)
    step("launch_scan: " + title, scan.REF.startswith("scan/") and scan.TITLE == title, scan)
    return scan.REF


def listed(reference):
    for scan in vmdr.get_scan_list(auth):
        if scan.REF == reference:
            return scan
    return None


def wait(reference, state):
    for _ in range(600):
        scan = listed(reference)
        if scan is not None and scan.STATE == state:
            return True
        time.sleep(0.05)
    return False


reference = start("to the end")
step("get_scan_list: it ends", wait(reference, "Finished"))
brief = vmdr.fetch_scan(auth, scan_ref=reference)
step("fetch_scan: brief", ip in set(brief["ip"].dropna()), brief)
extended = vmdr.fetch_scan(auth, scan_ref=reference, mode="extended")
step("fetch_scan: extended", {"title", "severity", "cve_id"} <= set(extended.columns), extended.columns)

reference = start("held and stopped")
step("get_scan_list: it runs", wait(reference, "Running"))
for call, state in ((vmdr.pause_scan, "Paused"), (vmdr.resume_scan, "Running"), (vmdr.cancel_scan, "Canceled")):
    said = call(auth, scan_ref=reference)
    step(call.__name__, bool(said) and wait(reference, state), said)
said = vmdr.delete_scan(auth, scan_ref=reference)
step("delete_scan", bool(said) and listed(reference) is None, said)

token = TokenAuth(user, password, platform="qg3")
step("TokenAuth: a token", token.token.count(".") == 2)

print("all steps done")
