"""docs/monitor.md has all options and all endpoints, and its commands work."""

import json
import re
import subprocess
from pathlib import Path

from gearman.monitor.options import _parser
from gearman.monitor.web.api import ENDPOINTS
from tests import servers
from tests.monitor.monitors import monitor
from tests.servers import DEADLINE, HOST

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "monitor.md").read_text()


def test_all_options_are_in_the_page() -> None:
    (table,) = re.findall(r"^## Options\n(.*?)^## ", PAGE, re.MULTILINE | re.DOTALL)
    told = set(re.findall(r"(?<=`)--?[\w-]+", table))
    assert told == {*_parser()._option_string_actions}


def test_all_endpoints_are_in_the_page() -> None:
    told = re.findall(r"^\| `(GET|POST|DELETE) (/api/\w+)` \|", PAGE, re.MULTILINE)
    assert told == [(endpoint.method, endpoint.path) for endpoint in ENDPOINTS]


def test_links_lead_to_sections() -> None:
    docs = Path(__file__).resolve().parents[2] / "docs"
    for file, section in re.findall(r"\]\(([\w.]*)#([\w-]+)\)", PAGE):
        text = (docs / file).read_text() if file else PAGE
        titles = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
        assert section in {title.lower().replace(" ", "-") for title in titles}, section


def test_commands_of_the_api_do_what_the_page_says() -> None:
    (block,) = re.findall(r"^```sh\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    with servers.ours() as server, monitor(server.address) as browser:
        script = block.replace("localhost:8731", f"{HOST}:{browser.port}")
        script = script.replace("localhost:4730", server.address)
        done = subprocess.run(
            ["sh", "-ec", script],
            capture_output=True,
            text=True,
            timeout=DEADLINE,
            check=True,
        )
        (result,) = json.loads(done.stdout)["results"]
        assert result["ok"]
        (note,) = browser.json("/api/audit", limit=1)["notes"]
        assert (note["action"], note["target"]) == ("pause", "mail")
