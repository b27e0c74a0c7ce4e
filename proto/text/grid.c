#include "proto/text/grid.h"

#include <assert.h>

#include "base/mem.h"
#include "base/str.h"

static size_t text_width(struct str s)
{
    size_t n = 0;
    for (size_t i = 0; i < s.n; i++) {
        n += ((unsigned char)s.p[i] & 0xc0) != 0x80; /* UTF-8: count heads */
    }
    return n;
}

static struct str grid_cell(const struct grid *g, unsigned i)
{
    size_t from = i == 0 ? 0 : g->ends[i - 1];
    return (struct str){(const char *)g->text.data + from, g->ends[i] - from};
}

void grid_end_cell(struct grid *g)
{
    g->ends[g->cells++] = g->text.size;
}

void grid_write(struct buf *out, const struct grid *g, size_t *width)
{
    for (unsigned i = 0; i < g->cells; i++) {
        unsigned c = i % g->columns;
        width[c] = MAX(width[c], text_width(grid_cell(g, i)));
    }
    for (unsigned i = 0; i < g->cells; i++) {
        unsigned c = i % g->columns;
        struct str s = grid_cell(g, i);
        buf_append_str(out, s);
        if (c + 1 == g->columns) {
            buf_putc(out, '\n');
            continue;
        }
        for (size_t n = text_width(s); n < width[c] + 3; n++) {
            buf_putc(out, ' ');
        }
    }
}

void grid_print(struct buf *out, const char *const *cells, unsigned columns, unsigned rows)
{
    assert(columns > 0 && columns <= GRID_COLUMNS_MAX);
    CLEANUP_ARENA struct arena a;
    arena_init(&a);
    struct grid g = {.columns = columns};
    g.ends = arena_alloc(&a, ((size_t)columns * rows + 1) * sizeof(*g.ends));
    for (unsigned i = 0; i < columns * rows; i++) {
        buf_puts(&g.text, cells[i]);
        grid_end_cell(&g);
    }
    size_t width[GRID_COLUMNS_MAX] = {0};
    grid_write(out, &g, width);
    buf_close(&g.text);
}
