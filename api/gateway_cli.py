"""`huikan gateway`: the ways in for recorders that do not speak S3. Thin like api.cli, which takes them in."""

from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

commands = typer.Typer(help="网关：不会用 S3 的录播主机（FTP、共享文件夹、摄像机地址）。", no_args_is_help=True)
camera = typer.Typer(help="按时段从摄像机地址（RTSP、RTMP）拉流录课。", no_args_is_help=True)
commands.add_typer(camera, name="camera")
out = Console()


@commands.command("run")
def run() -> None:
    """运行已打开的网关。huikan serve 会自动运行它；单独的一台网关机器上才需要这个命令。"""
    from api.cli import settings
    from api.state import store_endpoint
    from ingest.gateways import run_gateways

    chosen = settings()
    run_gateways(chosen, endpoint=store_endpoint(chosen))


@commands.command("status")
def status() -> None:
    """哪些网关开着，有多少文件在等着送进对象存储。"""
    from api.cli import settings
    from api.rendering import size
    from ingest.camera import cameras
    from ingest.gateways import PORT_FILE
    from ingest.spool import Spool

    chosen = settings()
    spool = Spool(chosen)
    waiting = spool.waiting()
    port = spool.root / PORT_FILE
    if chosen.ftp_port is None:
        ftp = "关"
    else:
        at = f"{chosen.ftp_host}:{port.read_text() if port.exists() else chosen.ftp_port}"
        ftp = f"{at}（{'FTPS' if chosen.ftp_certificate else '不加密'}）"
    out.print(f"FTP         {ftp}\n监视文件夹  {chosen.watched_folder or '关'}", markup=False)
    out.print(f"摄像机      {len(cameras(chosen))} 台", markup=False)
    held = size(sum(file.stat().st_size for file, _, _ in waiting))
    out.print(f"等待送出    {len(waiting)} 个文件，{held}", markup=False)


@camera.command("add")
def camera_add(
    name: Annotated[str, typer.Argument(help="给它起个名字：小写字母、数字与连字符。")],
    school: Annotated[str, typer.Argument(help="学校代号。")],
    room: Annotated[str, typer.Argument(help="教室代号。")],
    when: Annotated[list[str], typer.Option(help='上课时段，例如 "1-5 08:00-08:45"；可以给多个。')],
) -> None:
    """登记一台摄像机，或改它的地址与时段。地址里常有口令，所以不写在命令里，而是接着输入。"""
    from api.cli import settings
    from ingest.camera import Camera, put_camera

    url = str(typer.prompt("地址（rtsp:// 或 rtmp://）"))
    put_camera(settings(), Camera(name, school, room, url.strip(), tuple(when)))
    out.print("已登记；几秒后生效。")


@camera.command("list")
def camera_list() -> None:
    """列出摄像机（不含口令），与现在是否在上课。"""
    from api.cli import settings
    from ingest.camera import cameras
    from ingest.spool import room_clock

    table = Table("名字", "目录", "地址", "时段", "现在")
    for each in cameras(settings()):
        lesson = each.lesson_at(room_clock())
        now = f"上课，到 {lesson[1]:%H:%M}" if lesson else ""
        table.add_row(each.name, f"{each.school}/{each.room}/", each.shown_url, "；".join(each.when), now)
    out.print(table)


@camera.command("remove")
def camera_remove(name: str) -> None:
    """不再从这台摄像机录课；已录的不受影响。"""
    from api.cli import settings
    from ingest.camera import remove_camera

    remove_camera(settings(), name)
    out.print("已删除。")


@camera.command("test")
def camera_test(name: str, seconds: Annotated[int, typer.Option(min=1, max=60, help="试录几秒。")] = 5) -> None:
    """试录几秒，看地址通不通、画面与声音是什么编码；不入库。"""
    from api.cli import settings
    from archive.errors import Absent
    from ingest.camera import cameras, try_camera

    chosen = settings()
    known = {each.name: each for each in cameras(chosen)}
    if name not in known:
        raise Absent(name)
    out.print(try_camera(chosen, known[name], seconds), markup=False)
