"""Bringing the server's automations to those of deploy/alerts.py, by their names."""

from typing import Any

from prefect.client.orchestration import SyncPrefectClient
from prefect.events.actions import ActionTypes, DoNothing, SendNotification
from prefect.events.schemas.automations import Automation, AutomationCore
from prefect.exceptions import ObjectNotFound

from deploy.alerts import PREFIX, automations
from deploy.differences import Change, changes
from deploy.environment import Environment
from deploy.registry import Registry
from seedtest.errors import ConfigurationError

# The server knows its addresses and the names; the message is the error's own.
_SUBJECT = "[{environment}] {{{{ automation.name }}}}"
_BODY = """{{ automation.description }}
{% if flow_run %}Run {{ flow_run.name }} of {{ flow.name }}: {{ flow_run.state.name }}
{{ flow_run.state.message or '' }}
{{ flow_run | ui_url }}{% elif work_pool %}Work pool {{ work_pool.name }}
{{ work_pool | ui_url }}{% endif %}"""


def deploy_automations(
    environment: Environment, registry: Registry, client: SyncPrefectClient, *, dry_run: bool
) -> tuple[Change, ...]:
    """Create, update and delete automations by their names; those without our prefix are left alone."""
    pools = tuple(pool.name for pool in environment.work_pools)
    wanted = {one.name: one for one in automations(registry, pools, alert_action(environment, client))}
    present = our_automations(client)
    found: list[Change] = []
    for name, automation in wanted.items():
        found += _deploy(automation, present.get(name), client, dry_run=dry_run)
    for name in present.keys() - wanted.keys():
        found.append(_delete(present[name], client, dry_run=dry_run))
    return tuple(found)


def our_automations(client: SyncPrefectClient) -> dict[str, Automation]:
    """Return the server's automations that are ours by their names."""
    return {one.name: one for one in client.read_automations() if one.name.startswith(PREFIX)}


def remove_automations(client: SyncPrefectClient, *, dry_run: bool) -> tuple[Change, ...]:
    """Delete every automation that is ours."""
    return tuple(_delete(one, client, dry_run=dry_run) for one in our_automations(client).values())


def alert_action(environment: Environment, client: SyncPrefectClient) -> ActionTypes:
    """Return what an alert does: it notifies, or where nobody is to be told, it shows in the event feed."""
    if environment.notification_block is None:
        return DoNothing()
    slug, name = environment.notification_block.split("/")
    try:
        block = client.read_block_document_by_name(name, slug)
    except ObjectNotFound:
        raise ConfigurationError(
            f"Alerts of {environment.name} go to the block {slug}/{name}, which the server does not have. "
            "Its address is a secret, so no file holds it: make the block by hand (`prefect block create "
            f"{slug}` says where), call it {name}, and deploy again."
        ) from None
    return SendNotification(
        block_document_id=block.id, subject=_SUBJECT.format(environment=environment.name), body=_BODY
    )


def _deploy(
    wanted: AutomationCore, present: Automation | None, client: SyncPrefectClient, *, dry_run: bool
) -> tuple[Change, ...]:
    before = None if present is None else comparable(present)
    found = changes(_subject(wanted), before, comparable(wanted))
    if found and not dry_run:
        if present is None:
            client.create_automation(wanted)
        else:
            client.update_automation(present.id, wanted)
    return found


def _delete(automation: Automation, client: SyncPrefectClient, *, dry_run: bool) -> Change:
    if not dry_run:
        client.delete_automation(automation.id)
    return Change(_subject(automation), "deleted")


def _subject(automation: AutomationCore) -> str:
    return f"automation {automation.name.removeprefix(PREFIX)}"


def comparable(automation: AutomationCore) -> dict[str, Any]:
    """Return an automation without what the server adds, its sets in order."""
    plain = automation.model_dump(mode="json", include=set(AutomationCore.model_fields))
    trigger = plain["trigger"]
    for field in ("after", "expect", "for_each"):
        trigger[field] = sorted(trigger[field])
    return plain
