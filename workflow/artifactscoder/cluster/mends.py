"""What Snakemake and its Slurm plugin get wrong, mended in the process that runs them."""

from __future__ import annotations

import contextlib
import sys
import threading
from typing import Any

from artifactscoder.cluster import slurm
from artifactscoder.errors import UserError


def mend_sigterm() -> None:
    """Let Snakemake end when it is asked to, whatever it is doing: the controller, and each job on its node.

    Its handler (9.20 to 9.27) waits for a lock that the very thread may hold that it interrupts, as while it waits for
    a job's files to appear; it then hangs until it is killed. In a thread of its own the handler waits its turn.
    """
    from snakemake.scheduling.job_scheduler import JobScheduler

    handle = JobScheduler.exit_gracefully
    if handle.__module__ == __name__:
        return

    def exit_gracefully(self: JobScheduler, *signal: object) -> None:
        threading.Thread(target=handle, args=(self, *signal), daemon=True).start()

    JobScheduler.exit_gracefully = exit_gracefully


def mend_plugin() -> None:
    """Let Snakemake's Slurm plugin, where it is loaded, see that a job was cancelled, or preempted for good.

    2.5 to 2.8 compare sacct's `CANCELLED by 1000` with `CANCELLED`, and take any preempted job for one that Slurm will
    start again; on both they wait for ever. tests/cluster/test_faults.py hangs without this.
    """
    plugin: Any = sys.modules.get("snakemake_executor_plugin_slurm")
    if plugin is None:
        return
    query = plugin.query_job_status

    async def query_job_status(command: str, logger: Any) -> tuple[dict[str, str] | None, float | None]:
        states, seconds = await query(command, logger)
        states = states and {job: state.split(" ")[0] for job, state in states.items()}
        if states and "PREEMPTED" in states.values():
            with contextlib.suppress(UserError):
                alive = {job.id for job in slurm.queue()}
                gone = {job for job, state in states.items() if state == "PREEMPTED" and job not in alive}
                states |= dict.fromkeys(gone, "CANCELLED")
        return states, seconds

    plugin.query_job_status = query_job_status
