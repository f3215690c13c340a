"""Where keys and tokens come from, when they are not simply given."""

from .._key import Fetched as Fetched
from ._aws import AwsCredentials as AwsCredentials
from ._azure import AzureCredentials as AzureCredentials
from ._copilot import CopilotCredentials as CopilotCredentials
from ._environment import FromEnvironment as FromEnvironment
from ._file import FromFile as FromFile
from ._function import FromFunction as FromFunction
from ._google import GoogleCredentials as GoogleCredentials
from ._login import login_of as login_of
from ._refreshing import Refreshing as Refreshing
from ._rotation import Rotation as Rotation
from ._sigv4 import AwsKeys as AwsKeys
from ._sigv4 import SigV4Signer as SigV4Signer
