"""treq's requests in memory."""

from typing import Any, cast

from treq.testing import RequestTraversalAgent
from twisted.internet.testing import MemoryReactorClock
from twisted.web.client import Agent
from twisted.web.iweb import IAgentEndpointFactory
from zope.interface import implementer

from registry.web.site import RegistrySite


class SiteAgent(RequestTraversalAgent):
    """treq's in-memory agent, over our own Site instead of a stock one."""

    def __init__(self, site: RegistrySite, reactor: MemoryReactorClock) -> None:
        super().__init__(None)
        self._endpoints = _Endpoints(self._realAgent)
        self._memoryReactor = self._endpoints.reactor = reactor
        self._realAgent = Agent.usingEndpointFactory(reactor=cast("Any", reactor), endpointFactory=self._endpoints)
        self._serverFactory = site


@implementer(IAgentEndpointFactory)
class _Endpoints:
    """The agent's own way to make endpoints, on another reactor."""

    reactor: MemoryReactorClock

    def __init__(self, agent: Any) -> None:
        self._factory = agent._endpointFactory  # noqa: SLF001 - treq makes it for itself and offers no other way

    def endpointForURI(self, uri: object) -> Any:
        """IAgentEndpointFactory."""
        self._factory.reactor = self.reactor
        return self._factory.endpointForURI(uri)
