"""Many calls at once: mapped over requests, or raced."""

from ._map import Mapped as Mapped
from ._map import MapResult as MapResult
from ._progress import MapStats as MapStats
from ._race import race as race
from ._request import Task as Task
from ._request import task_of as task_of
