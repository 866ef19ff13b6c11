"""`huikan recorder`: the commands about recorders. Thin like api.cli, which takes them in."""

import json
import sys
from dataclasses import asdict
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:  # a command loads only what it needs
    from api.recorder_settings import Upload
    from api.recorders import Issued
    from archive.recorders import Recorder

commands = typer.Typer(help="录播主机：密钥、配额、状态。", no_args_is_help=True)
out = Console()

Name = Annotated[str, typer.Argument(help="录播主机编号或 Access Key，见 huikan recorder list。")]
Json = Annotated[bool, typer.Option("--json", help="以 JSON 输出。")]
Gigabytes = Annotated[float | None, typer.Option(help="每天最多多少 GB；0 为不限。")]
Count = Annotated[int | None, typer.Option(help="每天最多多少个录像；0 为不限。")]
Tool = Annotated[
    str, typer.Option("--settings", help="现成的设置：recorder、boto3、rclone、s3cmd、awscli、all 或 none。")
]
OwnAccessKey = Annotated[
    str, typer.Option("--access-key", help="已在外部存储建好的 Access Key（存储的密钥不归回看管时）。")
]
_GB = 10**9


@commands.command("add")
def add(
    school: Annotated[str, typer.Argument(help="学校代号：小写字母、数字与连字符。")],
    room: Annotated[str, typer.Argument(help="教室代号。")],
    school_name: Annotated[str, typer.Option(help="学校名称，例如 星火小学。")] = "",
    room_name: Annotated[str, typer.Option(help="教室名称，例如 三年级一班。")] = "",
    label: Annotated[str, typer.Option(help="这台主机的备注，例如 后墙摄像机。")] = "",
    daily_gb: Gigabytes = None,
    daily_recordings: Count = None,
    tool: Tool = "recorder",
    access_key: OwnAccessKey = "",
) -> None:
    """登记一台录播主机，发一把只能写自己目录的密钥。Secret Key 只显示这一次。"""
    from api import recorders
    from api.cli import catalog_of, settings
    from archive.recorders import Quota

    _known_tool(tool)
    chosen = settings()
    quota = Quota(None if daily_gb is None else round(daily_gb * _GB), daily_recordings)
    with catalog_of(chosen) as catalog:
        recorders.adopt(chosen, catalog)
        place = recorders.Place(school, room, school_name, room_name)
        issued = recorders.add(chosen, catalog, place, label=label, quota=quota, brought=_brought(access_key))
    _tell(issued, tool, chosen.store_region)


@commands.command("list")
def every(as_json: Json = False) -> None:  # noqa: FBT002
    """列出录播主机：最近上传、今天用量、时钟偏差、失败。"""
    from api import recorders
    from api.cli import catalog_of, settings
    from api.rendering import moment, size

    chosen = settings()
    with catalog_of(chosen) as catalog:
        recorders.adopt(chosen, catalog)
        standings = catalog.recorders.standings()
    if as_json:
        typer.echo(json.dumps([asdict(each) for each in standings], ensure_ascii=False, default=str))
        return
    table = Table("编号", "目录", "备注", "Access Key", "最近上传", "今天", "累计", "时钟", "30 天内退回", "状态")
    for each in standings:
        machine = each.recorder
        table.add_row(
            machine.id,
            machine.prefix,
            machine.label,
            machine.access_key,
            moment(each.last_seen_at) if each.last_seen_at else "还没有",
            f"{each.today.recordings} 个 {size(each.today.bytes)}",
            f"{each.total.recordings} 个 {size(each.total.bytes)}",
            skew_zh(machine.clock_skew_ms),
            str(each.failures),
            state_zh(machine),
        )
    out.print(table)


@commands.command("show")
def show(name: Name, tool: Tool = "all") -> None:
    """显示一台录播主机，和它的现成设置（Secret Key 除外）。"""
    from api import recorders
    from api.cli import catalog_of, settings
    from api.recorder_settings import Upload
    from ingest.admission import quota_of

    _known_tool(tool)
    chosen = settings()
    with catalog_of(chosen) as catalog:
        recorders.adopt(chosen, catalog)
        machine = catalog.recorders.get(name)
    quota = quota_of(machine, chosen)
    limit_gb = "不限" if quota.daily_bytes is None else f"{quota.daily_bytes / _GB:g} GB"
    limit = "不限" if quota.daily_recordings is None else f"{quota.daily_recordings} 个录像"
    out.print(f"{machine.id}  {machine.place}  {machine.label}  {state_zh(machine)}", markup=False)
    out.print(f"每天：{limit_gb}，{limit}    时钟：{skew_zh(machine.clock_skew_ms)}", markup=False)
    out.print(f"网关口令：{'已设' if machine.has_gateway else '未设'}", markup=False)
    to = Upload(
        recorders.store_url(chosen),
        chosen.incoming_bucket,
        machine.prefix,
        machine.access_key,
        region=chosen.store_region,
    )
    _print_settings(to, tool)


@commands.command("rotate")
def rotate(name: Name, tool: Tool = "recorder", access_key: OwnAccessKey = "") -> None:
    """给一台录播主机换一把新密钥；旧的马上失效。收回过的主机也可以这样恢复。"""
    from api import recorders
    from api.cli import catalog_of, settings

    _known_tool(tool)
    chosen = settings()
    with catalog_of(chosen) as catalog:
        issued = recorders.rotate(chosen, catalog, name, _brought(access_key))
    _tell(issued, tool, chosen.store_region)


@commands.command("revoke")
def revoke(name: Name) -> None:
    """收回一台录播主机的密钥，马上生效；网关与接口也不再认它。"""
    from api import recorders
    from api.cli import catalog_of, settings

    chosen = settings()
    with catalog_of(chosen) as catalog:
        recorders.revoke(chosen, catalog, name)
    out.print("已收回。")


@commands.command("quota")
def quota(name: Name, daily_gb: Gigabytes = None, daily_recordings: Count = None) -> None:
    """设一台录播主机每天的配额；不给的项恢复为全局设置。"""
    from api import recorders
    from api.cli import catalog_of, settings
    from archive.recorders import Quota
    from ingest.admission import watch_quotas
    from ingest.keyring import keyring_of

    chosen = settings()
    with catalog_of(chosen) as catalog:
        recorders.adopt(chosen, catalog)
        machine = catalog.recorders.get(name)
        catalog.recorders.set_quota(
            machine.id, Quota(None if daily_gb is None else round(daily_gb * _GB), daily_recordings)
        )
        watch_quotas(chosen, catalog, keyring_of(chosen))
    out.print("已设置。")


@commands.command("presign")
def presign(
    name: Name,
    file: Annotated[str, typer.Argument(help="文件名，例如 20260901T0800.mp4。")],
    minutes: Annotated[int, typer.Option(help="多少分钟内有效，至多 720。", min=1, max=720)] = 15,
) -> None:
    """给工具一个临时地址：凭它可以用 PUT 上传这一个文件，不需要密钥。"""
    from api import recorders
    from api.cli import catalog_of, settings

    chosen = settings()
    with catalog_of(chosen) as catalog:
        recorders.adopt(chosen, catalog)
        typer.echo(recorders.presign(chosen, catalog, name, file, timedelta(minutes=minutes)))


@commands.command("gateway")
def gateway(
    name: Name,
    off: Annotated[bool, typer.Option("--off", help="取消口令，网关不再认这台主机。")] = False,  # noqa: FBT002
) -> None:
    """给一台录播主机一个网关口令（FTP）；口令只显示这一次。网关本身用设置项打开，见 docs/recorders.md。"""
    from api import recorders
    from api.cli import catalog_of, settings

    chosen = settings()
    with catalog_of(chosen) as catalog:
        recorders.adopt(chosen, catalog)
        if off:
            catalog.recorders.set_gateway_password(catalog.recorders.get(name).id, None)
            out.print("已取消。")
            return
        machine, password = recorders.gateway_password(catalog, name)
    out.print(f"用户名  {machine.id}\n口令    {password}", markup=False)


def skew_zh(skew_ms: int | None) -> str:
    if skew_ms is None:
        return "未知"
    if abs(skew_ms) < 2000:
        return "准"
    seconds = round(abs(skew_ms) / 1000)
    amount = f"{seconds} 秒" if seconds < 120 else f"{round(seconds / 60)} 分钟"
    return f"{'快' if skew_ms > 0 else '慢'} {amount}"


def state_zh(machine: "Recorder") -> str:
    if not machine.is_active:
        return "已收回"
    return "超过配额，暂停到明天" if machine.suspended_at else "正常"


def _known_tool(tool: str) -> None:
    from api.recorder_settings import TOOLS

    if tool not in {*TOOLS, "all", "none"}:
        raise typer.BadParameter(f"应为 {'、'.join(TOOLS)}、all 或 none", param_hint="--settings")


def _brought(access_key: str) -> tuple[str, str] | None:
    """The key that an operator made by hand; its secret is asked for, so that it is on no command line."""
    if not access_key:
        return None
    secret_key = typer.prompt("Secret Key", hide_input=sys.stdin.isatty())
    return access_key, str(secret_key)


def _tell(issued: "Issued", tool: str, region: str) -> None:
    from api.recorder_settings import Upload

    key, machine = issued.key, issued.recorder
    out.print(f"录播主机    {machine.id}（{machine.place}）", markup=False)
    out.print(f"S3 地址     {issued.url}\n桶          {key.bucket}\n目录        {machine.prefix}", markup=False)
    out.print(f"Access Key  {key.access_key}\nSecret Key  {key.secret_key}", markup=False, soft_wrap=True)
    out.print("Secret Key 只显示这一次，请马上填进主机。\n", markup=False)
    _print_settings(Upload(issued.url, key.bucket, machine.prefix, key.access_key, key.secret_key, region), tool)


def _print_settings(to: "Upload", tool: str) -> None:
    from api.recorder_settings import TOOLS

    for name, (title, text) in TOOLS.items():
        if tool in (name, "all"):
            out.print(f"── {title} ──", markup=False)
            typer.echo(text(to))
