"""Ready-made settings for whatever uploads: pure text from a key. tests/ingest/test_clients.py runs the real programs with
exactly these lines, so that what a technician copies is what was seen to work.

A recorder's key may neither read nor list; each tool is told not to try (it would be refused, and give up).
"""

from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import urlsplit

SECRET_PLACEHOLDER = "<Secret Key>"  # noqa: S105 — what stands where a secret is to go
EXAMPLE = "20260901T0800.mp4"


@dataclass(frozen=True, slots=True)
class Upload:
    """Where and with what a recorder uploads. `url` is the store's, with its scheme."""

    url: str
    bucket: str
    prefix: str  # <school>/<room>/
    access_key: str
    secret_key: str = SECRET_PLACEHOLDER
    region: str = "us-east-1"

    @property
    def host(self) -> str:
        return urlsplit(self.url).netloc

    @property
    def is_secure(self) -> bool:
        return self.url.startswith("https://")


def recorder_box(to: Upload) -> str:
    """The fields of a 录播主机's own page."""
    return f"""\
服务器（Endpoint）   {to.host}
使用 HTTPS           {"是" if to.is_secure else "否"}
区域（Region）       {to.region}
访问方式             路径方式（path style）
桶（Bucket）         {to.bucket}
目录（前缀）         {to.prefix}
文件名               日期T时间[-分段].扩展名，例如 {EXAMPLE}
Access Key           {to.access_key}
Secret Key           {to.secret_key}
"""


def boto3(to: Upload) -> str:
    return f"""\
import os

os.environ.setdefault("AWS_REQUEST_CHECKSUM_CALCULATION", "when_required")  # boto3 1.36 and later
import boto3
from botocore.config import Config

s3 = boto3.client(
    "s3",
    endpoint_url="{to.url}",
    region_name="{to.region}",
    aws_access_key_id="{to.access_key}",
    aws_secret_access_key="{to.secret_key}",
    config=Config(
        s3={{"addressing_style": "path"}},
        retries={{"mode": "standard", "max_attempts": 10}},
    ),
)
s3.upload_file("{EXAMPLE}", "{to.bucket}", "{to.prefix}{EXAMPLE}")
"""


def rclone(to: Upload) -> str:
    return f"""\
# ~/.config/rclone/rclone.conf
[huikan]
type = s3
provider = Other
endpoint = {to.url}
region = {to.region}
access_key_id = {to.access_key}
secret_access_key = {to.secret_key}
force_path_style = true
no_check_bucket = true
no_head = true
# rclone copyto --no-check-dest --s3-no-head {EXAMPLE} huikan:{to.bucket}/{to.prefix}{EXAMPLE}
"""


def s3cmd(to: Upload) -> str:
    return f"""\
# ~/.s3cfg
[default]
host_base = {to.host}
host_bucket = {to.host}/%(bucket)
bucket_location = {to.region}
access_key = {to.access_key}
secret_key = {to.secret_key}
use_https = {to.is_secure}
signature_v2 = False
# s3cmd put --no-progress {EXAMPLE} s3://{to.bucket}/{to.prefix}{EXAMPLE}
"""


def awscli(to: Upload) -> str:
    return f"""\
# ~/.aws/credentials
[huikan]
aws_access_key_id = {to.access_key}
aws_secret_access_key = {to.secret_key}
# ~/.aws/config
[profile huikan]
region = {to.region}
request_checksum_calculation = when_required
s3 =
  addressing_style = path
# aws --profile huikan --endpoint-url {to.url} s3 cp {EXAMPLE} s3://{to.bucket}/{to.prefix}{EXAMPLE}
"""


TOOLS: dict[str, tuple[str, Callable[[Upload], str]]] = {
    "recorder": ("录播主机", recorder_box),
    "boto3": ("boto3（Python）", boto3),
    "rclone": ("rclone", rclone),
    "s3cmd": ("s3cmd", s3cmd),
    "awscli": ("AWS CLI", awscli),
}
