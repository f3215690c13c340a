"""What a request of a batch is called."""

from .._many import Task


def custom_id_of(task: Task) -> str:
    """What its caller calls it, or its number."""
    return f"request-{task.index}" if task.custom_id is None else task.custom_id
