"""Whatever stands in an address, the answer is an answer or a problem in words, never a fault."""

from urllib.parse import quote

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

PATHS = st.sampled_from(
    [
        "/sakata/datastreams/1/observations",
        "/sakata/datastreams/{}/observations",
        "/sakata/alerts",
        "/sakata/alerts/{}",
        "/sakata/devices/{}",
        "/sakata/map/plows/tracks",
        "/sakata/quarantine",
        "/{}/overview",
    ]
)
NAMES = st.sampled_from(
    ["from", "to", "bucket", "limit", "cursor", "format", "state", "minutes", "x"]
)
VALUES = st.one_of(
    st.text(max_size=30),
    st.integers().map(str),
    st.floats().map(str),
    st.datetimes().map(str),
    st.datetimes(timezones=st.timezones()).map(lambda each: each.isoformat()),
    st.sampled_from(["raw", "10m", "1h", "1d", "csv", "json", "open", "all", "0-0", "1-1", "\0"]),
)


# One database for all examples: nothing here writes.
@settings(
    max_examples=150,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
@given(path=PATHS, part=VALUES, query=st.dictionaries(NAMES, VALUES, max_size=4))
def test_no_address_makes_the_server_fail(api, path, part, query):
    answer = api.get(path.format(quote(part.strip("./"), safe="") or "x"), **query)
    assert answer.status_code in {200, 404, 422}, answer.text
    if answer.status_code != 200:
        assert answer.json()["detail"]
