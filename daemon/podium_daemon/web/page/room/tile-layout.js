// @ts-check
// Where the tiles of a room stand in the box that there is: a grid of one size, or one large with the others as a strip. Arithmetic only.

/** @typedef {{ x: number, y: number, width: number, height: number }} Box */
/** @typedef {{ key: string, isOwn?: boolean, isScreen?: boolean }} Placeable */
/** @typedef {{ width: number, height: number, large?: string | null, speaker?: string | null, page?: number }} Wish */
/** @typedef {{ boxes: Map<string, Box>, large: string | null, pages: number, page: number, isFloating: boolean }} Layout */

const MOST = 25; // tiles at once: more faces than that nobody follows, and a browser decodes no more in time
const GAP = 8;
const WIDEST = 16 / 9; // width to height of a tile: a camera's
const TALLEST = 3 / 4; // on a phone that is held upright
const NARROW = 4 / 3; // of a strip's tile below what is large
const NAME = 36; // px at the foot of a tile, where its name stands
const MENU = 44; // px at its top, where the button of its menu stands
const LEAST = { width: 88, height: 66 }; // px: a face and the button of its menu

/**
 * The place of each tile that is shown, by its key. `large` stands alone, `speaker` is on every page. One's own is small in
 * a grid (`isFloating`): beside the others where there is a place, else over the last one, where it hides no name.
 *
 * @template {Placeable} Tile
 * @param {Tile[]} tiles
 * @param {Wish} wish
 * @returns {Layout}
 */
export function layOut(tiles, { width, height, large = null, speaker = null, page = 0 }) {
  const own = tiles.find((tile) => tile.isOwn && !tile.isScreen) ?? null;
  const main = tiles.find((tile) => tile.key === large) ?? null;
  const rest = tiles.filter((tile) => tile !== own && tile !== main);
  const area = { width: Math.max(width, 1), height: Math.max(height, 1) };
  if (main) return asStrip(main, own === main ? null : own, rest, { area, speaker, page });
  return asGrid(own, rest, { area, speaker, page });
}

/**
 * @template {Placeable} Tile
 * @param {Tile | null} own
 * @param {Tile[]} rest
 * @param {{ area: { width: number, height: number }, speaker: string | null, page: number }} how
 * @returns {Layout}
 */
function asGrid(own, rest, { area, speaker, page }) {
  const room = capacity(area);
  const each = Math.max(1, own && rest.length >= room ? room - 1 : room);
  const shown = paged(rest, { each, page, speaker });
  const inGrid = own && shown.items.length === 0 ? [own] : shown.items;
  const boxes = grid(Math.max(1, inGrid.length), area);
  const isFloating = own !== null && shown.items.length > 0;
  const free = isFloating ? (freePlace(boxes, area) ?? over(boxes, area)) : null;
  const places = isFloating && free === null ? grid(inGrid.length + 1, area) : boxes;
  const found = new Map(inGrid.map((tile, index) => [tile.key, places[index]]));
  if (isFloating && own) found.set(own.key, free ?? within(places[inGrid.length], area));
  return { boxes: found, large: null, pages: shown.pages, page: shown.page, isFloating };
}

/**
 * @template {Placeable} Tile
 * @param {Tile} main
 * @param {Tile | null} own
 * @param {Tile[]} rest
 * @param {{ area: { width: number, height: number }, speaker: string | null, page: number }} how
 * @returns {Layout}
 */
function asStrip(main, own, rest, { area, speaker, page }) {
  const beside = area.width > area.height;
  const length = beside ? area.height : area.width;
  const third = Math.max(1, (length - 2 * GAP) / 3); // three stand there at least
  const size = beside ? Math.min(clamp(area.width * 0.2, LEAST.width, 240), third * WIDEST) : Math.min(clamp(area.height * 0.18, LEAST.height, 150), third / NARROW);
  const tile = beside ? { width: size, height: size / WIDEST } : { width: size * NARROW, height: size };
  const step = (beside ? tile.height : tile.width) + GAP;
  const fits = clamp(Math.floor((length + GAP) / step + 1e-6), 1, MOST - 1);
  const shown = paged(rest, { each: Math.max(1, fits - (own ? 1 : 0)), page, speaker });
  const strip = own ? [...shown.items, own] : shown.items;
  const full = strip.length === 0 ? area : beside ? { ...area, width: area.width - size - GAP } : { ...area, height: area.height - size - GAP };
  const start = Math.max(0, (length - strip.length * step + GAP) / 2);
  /** @type {Map<string, Box>} */
  const boxes = new Map([[main.key, rounded({ x: 0, y: 0, ...full })]]);
  strip.forEach(({ key }, index) => {
    const along = start + index * step;
    const at = beside ? { x: area.width - tile.width, y: along } : { x: along, y: area.height - tile.height };
    boxes.set(key, rounded({ ...at, ...tile }));
  });
  return { boxes, large: main.key, pages: shown.pages, page: shown.page, isFloating: false };
}

/**
 * So many boxes of one size, as large as they can be, the last row in the middle.
 *
 * @param {number} count
 * @param {{ width: number, height: number }} area
 * @returns {Box[]}
 */
export function grid(count, area) {
  let best = { width: 0, height: 0, columns: 1 };
  for (let columns = 1; columns <= count; columns += 1) {
    const tile = fitted(columns, Math.ceil(count / columns), area);
    if (tile.width * tile.height > best.width * best.height) best = { ...tile, columns };
  }
  const rows = Math.ceil(count / best.columns);
  const top = (area.height - rows * best.height - (rows - 1) * GAP) / 2;
  return Array.from({ length: count }, (_, index) => {
    const row = Math.floor(index / best.columns);
    const inRow = Math.min(best.columns, count - row * best.columns);
    const left = (area.width - inRow * best.width - (inRow - 1) * GAP) / 2;
    const x = left + (index % best.columns) * (best.width + GAP);
    return rounded({ x, y: top + row * (best.height + GAP), width: best.width, height: best.height });
  });
}

/**
 * @param {number} columns
 * @param {number} rows
 * @param {{ width: number, height: number }} area
 */
function fitted(columns, rows, area) {
  const width = Math.max(1, (area.width - (columns - 1) * GAP) / columns);
  const height = Math.max(1, (area.height - (rows - 1) * GAP) / rows);
  return { width: Math.min(width, height * WIDEST), height: Math.min(height, width / TALLEST) };
}

/**
 * How many tiles a box holds that can still be told apart.
 *
 * @param {{ width: number, height: number }} area
 */
export function capacity({ width, height }) {
  const columns = Math.floor((width + GAP) / (LEAST.width + GAP));
  const rows = Math.floor((height + GAP) / (LEAST.height + GAP));
  return clamp(columns * rows, 1, MOST);
}

/**
 * One's own tile where the grid leaves a place: at the end of its last row, or below it.
 *
 * @param {Box[]} boxes
 * @param {{ width: number, height: number }} area
 * @returns {Box | null}
 */
function freePlace(boxes, area) {
  const last = boxes[boxes.length - 1];
  const end = { x: last.x + last.width, y: last.y + last.height };
  const half = halfOf(last);
  const right = small(area, { width: Math.min(half, area.width - end.x - GAP), height: last.height });
  if (right !== null) return rounded({ x: area.width - right.width, y: end.y - right.height, ...right });
  const below = small(area, { width: Math.min(half, end.x), height: area.height - end.y - GAP });
  return below && rounded({ x: end.x - below.width, y: area.height - below.height, ...below });
}

/**
 * One's own tile over the last one, between its menu and its name.
 *
 * @param {Box[]} boxes
 * @param {{ width: number, height: number }} area
 * @returns {Box | null}
 */
function over(boxes, area) {
  const last = boxes[boxes.length - 1];
  const own = small(area, { width: last.width / 2, height: Math.min(last.height / 2, last.height - MENU - NAME) });
  return own && rounded({ x: last.x + last.width - own.width - GAP, y: last.y + last.height - NAME - own.height, ...own });
}

/**
 * One's own tile in a place of its own, which is larger.
 *
 * @param {Box} place
 * @param {{ width: number, height: number }} area
 * @returns {Box}
 */
function within(place, area) {
  const own = small(area, { width: Math.min(halfOf(place), place.width), height: place.height }) ?? place;
  return rounded({ x: place.x + place.width - own.width, y: place.y + place.height - own.height, width: own.width, height: own.height });
}

/** @param {Box} box */
function halfOf({ width }) {
  return Math.max(LEAST.width, width / 2);
}

/**
 * The size of one's own tile where there is so much place; null: too little.
 *
 * @param {{ width: number, height: number }} area
 * @param {{ width: number, height: number }} most
 */
function small({ width, height }, most) {
  const wish = clamp(Math.min(width, height) * 0.26, LEAST.width, 220);
  for (const ratio of height > width ? [TALLEST, WIDEST] : [WIDEST]) {
    const size = Math.min(wish, most.width, most.height * ratio);
    if (size >= LEAST.width) return { width: size, height: size / ratio };
  }
  return null;
}

/**
 * The tiles of one page. Where there are several, each keeps a place for who speaks, so that it costs nobody theirs.
 *
 * @template {Placeable} Tile
 * @param {Tile[]} items
 * @param {{ each: number, page: number, speaker: string | null }} how
 */
function paged(items, { each, page, speaker }) {
  const speaks = items.length > each ? items.find((tile) => tile.key === speaker) : undefined;
  const step = speaks ? Math.max(1, each - 1) : each;
  const pages = Math.max(1, Math.ceil(items.length / step));
  const at = clamp(page, 0, pages - 1);
  const found = items.slice(at * step, (at + 1) * step);
  if (speaks && !found.includes(speaks)) found.push(speaks);
  return { items: found, pages, page: at };
}

/** @param {Box} box */
function rounded({ x, y, width, height }) {
  const whole = (/** @type {number} */ value) => Math.floor(value + 1e-6); // what should be 0 may be a little less
  return { x: whole(x), y: whole(y), width: whole(width), height: whole(height) };
}

/**
 * @param {number} value
 * @param {number} least
 * @param {number} most
 */
function clamp(value, least, most) {
  return Math.max(least, Math.min(most, value));
}
