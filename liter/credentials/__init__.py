"""Where keys and tokens come from, when they are not simply given."""

from ._azure import AzureCredentials as AzureCredentials
from ._copilot import CopilotCredentials as CopilotCredentials
from ._refreshing import Fetched as Fetched
from ._refreshing import Refreshing as Refreshing
