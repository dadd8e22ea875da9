"""One core to tell stories with: fed one event after the other, its effects kept."""

from consensus.core import events as ev
from consensus.core.height import start, transition
from consensus.core.messages import Code, Message
from consensus.core.state import State
from tests.consensus.votes import HEIGHT, config, sign


class Core:
    """One core; own messages come back at once, blocks are valid unless said otherwise."""

    def __init__(self, index: int, event: ev.NewHeight | None = None, auto: bool = True) -> None:
        self.index, self.auto = index, auto
        self.log: list[ev.Effect] = []
        self.state: State
        self.state, effects = start(config(index), event or ev.NewHeight(HEIGHT))
        self.perform(effects)

    def feed(self, *items: ev.Event | Message) -> list[ev.Effect]:
        """Effects of these events, in order."""
        before = len(self.log)
        for item in items:
            event = item if isinstance(item, ev.Event) else ev.MessageReceived(item)
            self.state, effects = transition(self.state, event)
            self.perform(effects)
        return self.log[before:]

    def perform(self, effects: ev.Effects) -> None:
        for effect in effects:
            self.log.append(effect)
            if isinstance(effect, ev.Broadcast):
                self.feed(sign(self.index, effect.draft))
            if isinstance(effect, ev.ValidateBlock) and self.auto:
                self.feed(ev.BlockValidated(effect.block, True))


def said(effects: list[ev.Effect]) -> list[Code]:
    return [effect.draft.code for effect in effects if isinstance(effect, ev.Broadcast)]


def of(effects: list[ev.Effect], kind: type[ev.Effect]) -> list[ev.Effect]:
    return [effect for effect in effects if isinstance(effect, kind)]


def timeout(core: Core, timer: ev.Timer = ev.Timer.ROUND) -> list[ev.Effect]:
    return core.feed(ev.TimerFired(timer, core.state.height.number, core.state.round))
