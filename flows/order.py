"""What the forms in Prefect's page start: a published version into an environment, or a commit to a published version.

`gopub setup` makes a deployment of this for each app and environment of projects.yaml (gopub/views/forms.py). Who fills
a form in chooses among what is published; which repository, store, key and hosts that means projects.yaml says here.
"""

from __future__ import annotations

from prefect import flow

from flows.release import release
from flows.rollout import rollout
from gopub.canon import Json
from gopub.usecases.order import Order
from gopub.views.forms import ANY
from tasks import names
from tasks import ordering as boxes
from tasks.ends import ended
from tasks.marks import tagged
from tasks.parts import OrderBoxes, Releasing, RollingOut
from tasks.telling import plainly


@flow(name="order", retries=0, flow_run_name=names.order)
@plainly
async def order(  # noqa: D417 - what it is made of is no parameter of its runs
    app: str,
    env: str = "",
    version: str = "",
    ref: str = "",
    reason: str = "",
    name: str = "",
    target: str = ANY,
    downgrade: bool = False,
    config_only: bool = False,
    clear_quarantine: str = "",
    *,
    boxes: OrderBoxes = boxes,
    releasing: Releasing = release,
    rolling_out: RollingOut = rollout,
) -> dict[str, Json]:
    """Deploy what a form says, or release it where it names a ref and no environment.

    Args:
        app: The app, as projects.yaml on the worker calls it.
        env: The environment. Empty: it is only released.
        version: A published version; for a release, the one to publish it as.
        ref: The branch, tag or commit of a release.
        reason: Why; it stands in the journal.
        name: Who asks, as typed into the form. It is kept as not verified; a login that the server knows counts
            instead.
        target: The platform that the release must have been built for.
        downgrade: Allow a version older than the one that is stable there.
        config_only: Refuse a release that differs from the stable one in more than configuration.
        clear_quarantine: Why a release that was rolled back may come in again. Empty: it may not.
    """
    place = await boxes.ordered(app, env, version)
    folder = await boxes.project_folder(
        place.repository, place.spec, place.project or "", place.project_ref or "", app, env
    )
    if not env:
        return {
            **await releasing(place.repository, ref, version, place.spec, app, folder, refs=(), env="", downgrade=False)
        }
    who = await boxes.who_asks(name)
    with tagged(app, env):
        if not await boxes.drove_before(app, env):
            await boxes.may_begin(folder, app, env, automatic=False)
            asked = Order(app, env, version, target, downgrade, config_only, clear_quarantine, who)
            await boxes.may_be_ordered(folder, place, asked)
        return await ended(await rolling_out(app, env, version, folder, " ".join(reason.split()), who, False))
