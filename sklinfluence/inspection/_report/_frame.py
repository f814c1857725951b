"""A page inside a page: what a notebook shows of a report."""

# The frame's colours follow those of the notebook, where it says them: a page in a
# frame takes its scheme from the frame element.
_DARK = (
    "[data-jp-theme-light=false]",
    "[data-vscode-theme-kind=vscode-dark]",
    "[data-vscode-theme-kind=vscode-high-contrast]",
)
_LIGHT = (
    "[data-jp-theme-light=true]",
    "[data-vscode-theme-kind=vscode-light]",
    "[data-vscode-theme-kind=vscode-high-contrast-light]",
)
_CLASS = "sklinfluence-report"


def framed(page):
    """The page as the source of a frame.

    In an attribute between double quotes, these alone and ampersands end anything;
    escaping more would add half of the page's size.
    """
    source = page.replace("&", "&amp;").replace('"', "&quot;")
    return (
        f"<style>{_rule(_DARK, 'dark')}{_rule(_LIGHT, 'light')}</style>"
        f'<iframe class="{_CLASS}" title="Report on suspected labels" '
        'style="width:100%;height:720px;border:0;border-radius:6px" '
        f'srcdoc="{source}"></iframe>'
    )


def _rule(themes, scheme):
    where = ",".join(f"{theme} iframe.{_CLASS}" for theme in themes)
    return f"{where}{{color-scheme:{scheme}}}"
