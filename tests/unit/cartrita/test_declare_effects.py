"""What a task may say of its effects, and an agent of its probes."""

import pytest

from cartrita.context import Context
from cartrita.declare import Agent, Params, Result, probe, task
from cartrita.effects import Doubt, Finding
from cartrita.protocol.task import Delivery


async def documented(self, params: Params, ctx: Context) -> Result:
    """Work."""
    raise AssertionError


class TestEffects:
    def declare(self, *, probes=(), **options):
        work = task("w", **options)(documented)
        body = {"__doc__": "Acts.", "work": work}
        body |= {f"probe{place}": one for place, one in enumerate(probes)}
        return type("Acting", (Agent,), body, team="system").spec

    @pytest.mark.parametrize(
        ("options", "safe", "delivery"),
        [
            ({}, False, Delivery.AT_MOST_ONCE),
            ({"idempotent": True}, True, Delivery.AT_LEAST_ONCE),
            ({"effects": ("email", "sms.short-2")}, True, Delivery.EXACTLY_ONCE),
        ],
    )
    def test_how_a_task_is_delivered_follows_from_what_it_does(self, options, safe, delivery):
        (spec,) = self.declare(**options).tasks
        assert (spec.safe, spec.delivery) == (safe, delivery)
        assert spec.effects == options.get("effects", ())

    @pytest.mark.parametrize(
        ("options", "why"),
        [
            ({"effects": "email"}, "effects are names"),
            ({"effects": ["email"]}, "effects are names"),
            ({"effects": ("",)}, "effects are names"),
            ({"effects": ("E-mail",)}, "effects are names"),
            ({"effects": ("a/b",)}, "effects are names"),
            ({"effects": ("x" * 65,)}, "effects are names"),
            ({"effects": ("email", "email")}, "effects are names"),
            ({"effects": ("email",), "idempotent": True}, "not idempotent"),
        ],
    )
    def test_what_cannot_be_is_refused(self, options, why):
        with pytest.raises(TypeError, match=why):
            task("w", **options)

    def test_a_probe_is_known_by_the_effect_it_can_tell_of(self):
        @probe("email")
        async def sent(self, doubt: Doubt, ctx: Context) -> Finding:
            """Look."""
            raise AssertionError

        spec = self.declare(effects=("email", "sms"), probes=[sent])
        assert spec.probes == {"email": "probe0"}

    def test_a_probe_of_nothing_is_refused(self):
        @probe("email")
        async def sent(self, doubt: Doubt, ctx: Context) -> Finding:
            """Look."""
            raise AssertionError

        with pytest.raises(TypeError, match=r"Acting\.probe0 probes 'email', which no task"):
            self.declare(effects=("sms",), probes=[sent])
        with pytest.raises(TypeError, match=r"Acting\.probe1 is a second probe of 'email'"):
            self.declare(effects=("email",), probes=[sent, sent])

    def test_a_probe_of_another_shape_is_refused(self):
        @probe("email")
        def sent(self, doubt: Doubt, ctx: Context) -> Finding:
            """Look."""
            raise AssertionError

        @probe("email")
        async def bare(self, doubt, ctx):
            """Look."""
            raise AssertionError

        for wrong in (sent, bare):
            with pytest.raises(TypeError, match=r"Acting\.probe0 must be `async def"):
                self.declare(effects=("email",), probes=[wrong])
