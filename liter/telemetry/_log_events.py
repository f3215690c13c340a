"""Log events, for those who ask for them: a call's details, and the exception that it raised."""

import traceback
from collections.abc import Mapping
from typing import TYPE_CHECKING

from opentelemetry._logs import SeverityNumber

from . import _names as names
from ._response import class_name, error_description

if TYPE_CHECKING:
    from opentelemetry._logs import Logger
    from opentelemetry.context import Context
    from opentelemetry.util.types import AnyValue


def emit_details(logger: "Logger", attributes: Mapping[str, object], context: "Context", at: int) -> None:
    """Tell all that is known of a call. Content is structured here."""
    _emit(logger, names.DETAILS_EVENT, SeverityNumber.DEBUG, attributes, context, at)


def emit_exception(
    logger: "Logger",
    error: BaseException,
    attributes: Mapping[str, object],
    context: "Context",
    at: int,
    *,
    whole: bool,
) -> None:
    """Tell what a call raised.

    :param whole: with its message and traceback, which may quote the request
    """
    told = exception_attributes(error, whole=whole)
    _emit(logger, names.EXCEPTION_EVENT, SeverityNumber.WARN, {**attributes, **told}, context, at)


def exception_attributes(error: BaseException, *, whole: bool) -> dict[str, str]:
    """Describe an exception: by its class and our words for it, or wholly."""
    told = {names.EXCEPTION_TYPE: class_name(error)}
    message = str(error) if whole else error_description(error)
    if message:
        told[names.EXCEPTION_MESSAGE] = message
    if whole:
        told[names.EXCEPTION_STACKTRACE] = "".join(traceback.format_exception(error))
    return told


def _emit(
    logger: "Logger",
    name: str,
    severity: SeverityNumber,
    attributes: Mapping[str, "AnyValue | object"],
    context: "Context",
    at: int,
) -> None:
    logger.emit(
        timestamp=at,
        context=context,
        severity_number=severity,
        severity_text=severity.name,
        attributes=attributes,  # type: ignore[arg-type] # JSON and attribute values, which AnyValue has all of
        event_name=name,
    )
