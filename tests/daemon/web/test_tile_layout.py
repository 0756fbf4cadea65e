"""Where the tiles of a room stand, in a real browser: arithmetic for every box and number of people."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any, Final

import pytest
import pytest_asyncio

from tests.support.browsers import chromium, visit
from tests.support.site import site

pytestmark = [pytest.mark.real_peer, pytest.mark.asyncio(loop_scope="module")]

# every box and count, as a grid or with one large: what does not hold, with where it does not
_SWEEP: Final = """async (withLarge) => {
  const {layOut} = await import("/page/room/tile-layout.js");
  const flaws = [];
  const apart = (a, b) => a.x + a.width <= b.x || b.x + b.width <= a.x || a.y + a.height <= b.y || b.y + b.height <= a.y;
  const look = (width, height, count) => {
    const tiles = [{key: "own", isOwn: true}, ...Array.from({length: count}, (_, n) => ({key: `p${n}`}))];
    const speaker = `p${count - 1}`;
    const large = withLarge ? "p0" : null;
    const first = layOut(tiles, {width, height, large, speaker});
    const seen = new Set();
    for (let page = 0; page < first.pages; page += 1) {
      const told = layOut(tiles, {width, height, large, speaker, page});
      const flaw = (what) => flaws.push([what, width, height, count, page]);
      const boxes = [...told.boxes];
      const grid = boxes.filter(([key]) => !(key === "own" && told.isFloating)).map(([, box]) => box);
      for (const [key] of boxes) seen.add(key);
      if (boxes.length > 26) flaw("too many");
      if (!told.boxes.has("own") || !told.boxes.has(speaker)) flaw("own or speaker missing");
      if (boxes.some(([, {x, y, width: w, height: h}]) => x < 0 || y < 0 || x + w > width || y + h > height)) flaw("outside");
      if (boxes.some(([, box]) => box.width < 20 || box.height < 20)) flaw("tiny");
      if (grid.some((one, at) => grid.slice(at + 1).some((other) => !apart(one, other)))) flaw("overlap");
      const same = grid.filter((_, at) => !withLarge || at > 0);
      const own = told.boxes.get("own");
      const name = ({x, y, width: w, height: h}) => ({x, y: y + h - 36, width: w, height: 36});
      if (told.isFloating && grid.some((box) => !apart(own, name(box)))) flaw("a name is hidden");
      if (told.isFloating && grid.some((box) => box.width > 176 && own.width * own.height > 0.5 * box.width * box.height)) flaw("own is large");
      if (new Set(same.map((box) => `${box.width}x${box.height}`)).size > 1) flaw("unequal");
    }
    if (seen.size !== tiles.length) flaws.push(["never shown", width, height, count, tiles.length - seen.size]);
  };
  for (let width = 200; width <= 2000; width += 113)
    for (let height = 180; height <= 1300; height += 97)
      for (const count of [1, 2, 3, 4, 6, 7, 11, 24, 25, 26, 40, 99]) look(width, height, count);
  return flaws.slice(0, 5);
}"""  # noqa: E501


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def page() -> AsyncIterator[Any]:
    """A page of the daemon, from which the module can be loaded."""
    async with site() as here, chromium() as browser:
        yield await (await visit(browser)).open(f"{here.base}/")


@pytest.mark.parametrize("with_large", [False, True], ids=["grid", "one large"])
async def test_all_are_shown_without_overlap(page: Any, with_large: bool) -> None:
    """In the box, apart, of one size, 25 and oneself at most, who speaks on each page, and on some page each person."""
    assert await page.evaluate(_SWEEP, with_large) == []


async def test_one_person_alone_fills_the_box(page: Any) -> None:
    """Oneself without others is in the middle, as large as the box allows."""
    told = await page.evaluate("""async () => {
      const {layOut} = await import("/page/room/tile-layout.js");
      return [...layOut([{key: "own", isOwn: true}], {width: 1600, height: 900}).boxes];
    }""")
    assert told == [["own", {"x": 0, "y": 0, "width": 1600, "height": 900}]]
