"""The simulator searches as each engine does, and reads documents as Mistral and Azure."""

from decimal import Decimal

import pytest

from liter import AuthenticationError, BadRequestError, LlmClient, NotFoundError, ServiceUnavailableError
from liter.providers import known_providers
from liter.testing import MemoryNetwork, Refuse, Simulator

pytestmark = pytest.mark.anyio

ENGINES = sorted(name for name, provider in known_providers().items() if "search" in provider.operations)
# Those that take their prefix with the version, as their own address has it.
VERSIONS = {"brave": "/res/v1", "linkup": "/v1", "firecrawl": "/v2", "searchapi": "/api/v1", "dataforseo": "/v3"}
SETTINGS = {"google-pse": {"engine_id": "mine"}, "dataforseo": {"login": "me"}}
KEYS = dict.fromkeys((*ENGINES, "mistral"), "sk-test")
AZURE = "azure-document-intelligence"
COSTS = {"exa": Decimal("0.007"), "dataforseo": Decimal("0.002")}


def searching(network: MemoryNetwork, engine: str, *, own: bool = False) -> LlmClient:
    """A client whose engine is the simulator, under a prefix or at the engine's own address."""
    if own:
        return LlmClient(network_backend=network, api_keys=KEYS, provider_settings=SETTINGS, middleware=[])
    return LlmClient(
        network_backend=network,
        model_hint=engine,
        base_url=f"http://simulator/{engine}{VERSIONS.get(engine, '')}",
        api_key="sk-test",
        provider_settings=SETTINGS,
        middleware=[],
    )


@pytest.mark.parametrize("engine", ENGINES)
async def test_a_search(engine: str) -> None:
    """Finds as many as asked, the same each time, and tells the cost where the engine does."""
    async with Simulator(seed=7).serve_memory() as network, searching(network, engine) as client:
        found = await client.search(model=f"{engine}/search", query="Where do rivers begin?", max_results=3)
        again = await client.search(model=f"{engine}/search", query="Where do rivers begin?", max_results=2)
        other = await client.search(model=f"{engine}/search", query="Where do they end?", max_results=3)
    assert len(found.results) == 3
    assert all(one.title and one.url.startswith("https://") and one.snippet for one in found.results)
    assert again.results == found.results[:2]
    assert {one.url for one in found.results}.isdisjoint(one.url for one in other.results)
    assert found.usage.searches == 1
    assert found.usage.reported_cost == COSTS.get(engine)


@pytest.mark.parametrize("engine", [name for name in ENGINES if name != "searxng"])
async def test_an_engine_at_its_own_address(engine: str) -> None:
    """A network in memory is all hosts: nothing but it has to be set."""
    simulator = Simulator()
    async with simulator.serve_memory() as network, searching(network, engine, own=True) as client:
        found = await client.search(model=f"{engine}/search", query="rivers", max_results=3)
    assert len(found.results) == 3
    assert [request.outcome for request in simulator.requests] == ["completed"]


@pytest.mark.parametrize("engine", [name for name in ENGINES if name not in ("searxng", "duckduckgo")])
async def test_a_wrong_key(engine: str) -> None:
    """Is refused in the engine's words, with ours around them."""
    async with Simulator(api_key="another").serve_memory() as network, searching(network, engine) as client:
        with pytest.raises(AuthenticationError, match="Incorrect API key"):
            await client.search(model=f"{engine}/search", query="rivers")


@pytest.mark.parametrize("engine", ENGINES)
async def test_a_fault_of_a_search(engine: str) -> None:
    """Faults happen to searches as to all else."""
    async with (
        Simulator(faults=[Refuse(503)]).serve_memory() as network,
        searching(network, engine) as client,
    ):
        with pytest.raises(ServiceUnavailableError):
            await client.search(model=f"{engine}/search", query="rivers")
        assert (await client.search(model=f"{engine}/search", query="rivers", max_results=1)).results


@pytest.mark.parametrize("engine", ["searxng", "duckduckgo"])
async def test_an_engine_without_keys(engine: str) -> None:
    """Asks for none, whatever others are asked for."""
    async with Simulator(api_key="another").serve_memory() as network, searching(network, engine) as client:
        assert (await client.search(model=f"{engine}/search", query="rivers", max_results=1)).results


async def test_a_count_that_an_engine_does_not_take() -> None:
    """Is refused, and not cut."""
    async with Simulator().serve_memory() as network, searching(network, "tavily") as client:
        with pytest.raises(BadRequestError, match="1 to 20, not 21"):
            await client.search(model="tavily/search", query="rivers", extra_body={"max_results": 21})


async def test_a_document() -> None:
    """Has pages, of which some can be asked; an image is one."""
    document = {"type": "document_url", "document_url": "https://a.example/rivers.pdf"}
    picture = {"type": "image_url", "image_url": "https://a.example/river.png"}
    async with Simulator().serve_memory() as network, searching(network, "mistral", own=True) as client:
        read = await client.ocr(model="mistral/mistral-ocr-latest", document=document)
        some = await client.ocr(model="mistral/mistral-ocr-latest", document=document, pages=[1])
        seen = await client.ocr(model="mistral/mistral-ocr-latest", document=picture)
        with pytest.raises(BadRequestError, match="page"):
            await client.ocr(model="mistral/mistral-ocr-latest", document=document, extra_body={"pages": [-1]})
    assert [page.index for page in read.pages] == [0, 1, 2]
    assert all(page.markdown.startswith("# Page") for page in read.pages)
    assert some.pages == read.pages[1:2]
    assert (read.usage.pages, some.usage.pages, seen.usage.pages) == (3, 1, 1)


async def test_a_document_that_is_asked_after() -> None:
    """Is handed in, is not read yet at the first look, and has its pages in the end."""
    document = {"type": "document_url", "document_url": "https://a.example/rivers.pdf"}
    model = f"{AZURE}/prebuilt-layout"
    simulator = Simulator(api_key="sk-test")
    async with (
        simulator.serve_memory() as network,
        LlmClient(
            network_backend=network,
            api_keys={AZURE: "sk-test"},
            provider_settings={AZURE: {"resource": "mine"}},
            middleware=[],
        ) as client,
    ):
        read = await client.ocr(model=model, document=document)
        assert [request.method for request in simulator.requests] == ["POST", "GET", "GET"]
        some = await client.ocr(model=model, document=document, pages=[0, 2])
        plain = await client.ocr(model=f"{AZURE}/prebuilt-read", document=document)
        with pytest.raises(NotFoundError):
            await client.ocr(model=f"{AZURE}/no-such-model", document=document)
    assert [page.markdown.partition("\n")[0] for page in read.pages] == ["# Page 1", "# Page 2", "# Page 3"]
    assert [page.markdown for page in some.pages] == [read.pages[0].markdown, read.pages[2].markdown]
    assert [page.markdown for page in plain.pages] == [page.markdown.partition("\n\n")[2] for page in read.pages]
    assert (read.usage.pages, some.usage.pages) == (3, 2)
