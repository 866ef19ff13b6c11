"""docs/settings.md: every setting with its default and its meaning, written out by `script/docs`."""

import sys

from archive.settings import Settings


def settings_page() -> str:
    rows = ["| 设置 | 默认 | 说明 |", "|---|---|---|"]
    for name, field in Settings.model_fields.items():
        rows.append(f"| `HUIKAN_{name.upper()}` | {_shown(field.default)} | {field.description} |")
    head = [
        "# 设置",
        "",
        "由 `script/docs` 从 archive/settings.py 生成。每一项可以是环境变量，也可以写在 `HUIKAN_CONFIG` 指出的 TOML 文件里",
        "（用小写、去掉 `HUIKAN_`，例如 `port = 8000`）；环境变量优先。文件里写错的名字会报错，不会被忽略。",
        "",
    ]
    return "\n".join([*head, *rows, ""])


def _shown(default: object) -> str:
    if default is None:
        return "自动"
    return f"`{default}`" if default != "" else "空"


if __name__ == "__main__":
    sys.stdout.write(settings_page())
