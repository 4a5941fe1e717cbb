"""`banger doctor`: what this host can do, as the host room judges it, and what other rooms have to say."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from typing import Final

from banger.api.messages import CheckView, DoctorResult
from banger.core.config.defaults import Defaults
from banger.core.config.parsing import Configuration
from banger.core.config.reading import find_home, read_configuration
from banger.core.errors import BangerError, Unavailable
from banger.core.layout import Layout
from banger.core.progress import Progress
from banger.daemon.collaborators import Chooser, Images, Kernels
from banger.guest.agent import agent_directory
from banger.host.doctor import CheckResult, Outcome, Question, examine
from banger.host.facts import Places, read_facts
from banger.host.packages import Fix
from banger.store.connection import list_set_aside

_PULL: Final = ("banger", "image", "pull")


class Doctor:
    """Read-only."""

    def __init__(
        self,
        *,
        layout: Layout,
        images: Images,
        kernels: Kernels,
        chooser: Chooser,
        configuration: Configuration,
        defaults: Defaults,
    ) -> None:
        self._layout = layout
        self._images = images
        self._kernels = kernels
        self._chooser = chooser
        self._configuration = configuration
        self._defaults = defaults

    async def __call__(self, report: Callable[[Progress], None]) -> DoctorResult:
        """Gather facts, judge them, ask other rooms, and try each VMM."""
        layout = self._layout
        places = Places(
            data=layout.state,
            directories=(layout.config, layout.state, layout.cache, layout.run),
            agents=agent_directory(),
        )
        questions = (
            Question(id="configuration", title="configuration file", ask=self._ask_configuration),
            Question(id="database", title="database", ask=self._ask_database, otherwise=Outcome.WARN),
            Question(
                id="kernel_store",
                title="default kernel",
                ask=self._ask_kernel,
                otherwise=Outcome.WARN,
                commands=(_PULL,),
            ),
            Question(
                id="image_store", title="default image", ask=self._ask_image, otherwise=Outcome.WARN, commands=(_PULL,)
            ),
        )
        facts = await read_facts(places)
        results = (*await examine(facts, questions), *await self._try_each_vmm(report))
        checks: list[CheckView] = [
            {
                "id": result.id,
                "title": result.title,
                "level": result.outcome.value,
                "text": result.detail,
                "fix": result.fix,
                "commands": [list(command) for command in result.commands],
            }
            for result in results
        ]
        return {"checks": checks}

    async def _ask_configuration(self) -> str:
        """Read it again: a mistake in it would keep the next daemon from starting."""
        file = self._layout.config_file
        home = find_home(os.environ, uid=os.getuid())
        if await asyncio.to_thread(read_configuration, file, home=home) != self._configuration:
            return f"{file} has changed: `banger daemon restart` makes it count"
        return str(file) if file.exists() else "none, which is good"

    async def _ask_database(self) -> str:
        """It was checked when the daemon started; a copy set aside then stays until somebody removes it."""
        if aside := list_set_aside(self._layout.database):
            names = ", ".join(str(path) for path in aside)
            raise Unavailable(
                f"it was damaged once and made again; the damaged one is kept: {names}",
                hint=f"check your VMs with `banger vm list`, then rm {self._layout.database}.damaged-*",
            )
        return f"{self._layout.database}, sound when the daemon started"

    async def _ask_kernel(self) -> str:
        kernel = self._kernels.find(self._defaults.kernel)
        if kernel is None:
            raise Unavailable("not made yet; the first `vm run` makes it", hint="banger image pull")
        return f"{kernel.name}, Linux {kernel.release}"

    async def _ask_image(self) -> str:
        image = self._images.find(self._defaults.image)
        if image is None:
            raise Unavailable("not made yet; the first `vm run` makes it", hint="banger image pull")
        return image.name

    async def _try_each_vmm(self, report: Callable[[Progress], None]) -> tuple[CheckResult, ...]:
        """What each VMM can do here: not what it reports, but whether a guest ran under it just now."""
        kernel = self._kernels.find(self._defaults.kernel)
        if kernel is None:
            untried = Fix("banger image pull", (_PULL,))
            return (
                _vmm("vmm", "a guest really runs", Outcome.WARN, "not tried: that needs the default kernel", untried),
            )
        report(Progress(stage="vmm", text="running a test guest under each VMM"))
        try:
            trials = await self._chooser.try_each(kernel)
        except BangerError as error:
            return (_vmm("vmm", "a guest really runs", Outcome.FAIL, error.summary, Fix(error.hint)),)
        none = Outcome.FAIL if not any(trial.works for trial in trials) else Outcome.WARN
        slower = Fix(
            "no VMM runs a guest here; try again when this computer is less busy"
            if none is Outcome.FAIL
            else "commands work as they are, with what runs here"
        )
        return tuple(
            _vmm(f"vmm_{trial.name}", trial.accelerator, Outcome.PASS, trial.reason, Fix(""))
            if trial.works
            else _vmm(f"vmm_{trial.name}", trial.accelerator, none, trial.reason, slower)
            for trial in trials
        )


def _vmm(check: str, title: str, outcome: Outcome, detail: str, fix: Fix) -> CheckResult:
    return CheckResult(id=check, title=title, outcome=outcome, detail=detail, fix=fix.text, commands=fix.commands)
