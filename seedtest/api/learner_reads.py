"""What a learner, or who may read all of them, is told: θ over time, weekly KPIs, links to reports."""

import datetime as dt
from http import HTTPStatus
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Path, Query
from fastapi.responses import RedirectResponse

from seedtest.api.auth.caller import Caller
from seedtest.api.report_links import LINK_SECS
from seedtest.api.theta_answers import AbilityAnswer, ThetaHistory, WeekAnswer, WeeklyMetrics
from seedtest.api.theta_parts import Parts, refusals
from seedtest.api.theta_requests import ID_PATTERN, LONGEST_ID, HistoryQuery, ReportFormat, WeeklyQuery
from seedtest.db.learner_reads import ability_history, has_report, newest_weeks
from seedtest.errors import RequestError
from seedtest.report_keys import report_key

MOST_ABILITIES: Final = 1000
SIGNED: Final[dict[int | str, dict[str, Any]]] = {
    302: {
        "description": f"A link that is valid for {LINK_SECS} s; do not keep it",
        "headers": {"Location": {"description": "The signed link", "schema": {"type": "string"}}},
    }
}
UserSegment = Annotated[
    str,
    Path(
        min_length=1,
        max_length=LONGEST_ID,
        pattern=ID_PATTERN,
        description="Percent-encoded as one segment",
        examples=["test-user-123"],
    ),
]


def router(parts: Parts) -> APIRouter:
    """Return the endpoints."""
    routes = APIRouter()
    who = Annotated[Caller, Depends(parts.tokens)]

    @routes.get("/analysis/irt/theta", operation_id="thetaHistory", tags=["θ"], responses=refusals())
    async def theta_history(query: Annotated[HistoryQuery, Query()], caller: who) -> ThetaHistory:
        """Tell a learner's θ over time, the newest thousand, the oldest of them first."""
        await parts.admit_reader(caller, query.user_id)
        found = await parts.requests.run(
            lambda connection: ability_history(
                connection, query.user_id, since=query.since, most=MOST_ABILITIES
            )
        )
        return ThetaHistory(user_id=query.user_id, abilities=[AbilityAnswer.of(row) for row in found])

    @routes.get("/analysis/metrics/weekly", operation_id="weeklyMetrics", tags=["KPIs"], responses=refusals())
    async def weekly_metrics(query: Annotated[WeeklyQuery, Query()], caller: who) -> WeeklyMetrics:
        """Tell a learner's newest weeks that have KPIs, the oldest of them first."""
        await parts.admit_reader(caller, query.user_id)
        found = await parts.requests.run(
            lambda connection: newest_weeks(connection, query.user_id, query.weeks)
        )
        return WeeklyMetrics(user_id=query.user_id, weeks=[WeekAnswer.of(row) for row in found])

    @routes.get(
        "/reports/{user_id:path}/{week_start}.{format}",
        operation_id="report",
        tags=["reports"],
        status_code=HTTPStatus.FOUND,
        response_class=RedirectResponse,
        responses=SIGNED | refusals(404),
    )
    async def report(
        user_id: UserSegment,
        week_start: Annotated[dt.date, Path(description="The ISO week's Monday")],
        report_format: Annotated[ReportFormat, Path(alias="format")],
        caller: who,
    ) -> RedirectResponse:
        """Lead to a learner's report of a week, by a link signed now."""
        await parts.admit_reader(caller, user_id)
        stored = await parts.requests.run(
            lambda connection: has_report(connection, user_id, week_start, report_format)
        )
        if not stored:
            raise RequestError("There is no report of this learner, week and format.", status=404)
        link = await parts.links.sign(report_key(user_id, week_start, report_format))
        headers = {"Cache-Control": "no-store", "Referrer-Policy": "no-referrer"}
        return RedirectResponse(link, HTTPStatus.FOUND, headers=headers)

    return routes
