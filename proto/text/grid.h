/* Tables of text: columns as wide as their widest cell, three blanks between, nothing behind the last. Pure. */
#ifndef PROTO_TEXT_GRID_H
#define PROTO_TEXT_GRID_H

#include "base/buf.h"

#define GRID_COLUMNS_MAX 32u

/* Row by row, `columns` cells each. */
void grid_print(struct buf *out, const char *const *cells, unsigned columns, unsigned rows);

/* A table that is written cell by cell: into `text`, then grid_end_cell. The caller has room for the ends of all cells
 * and closes the text. */
struct grid {
    struct buf text;
    size_t *ends;
    unsigned columns, cells;
};
void grid_end_cell(struct grid *g);
/* width: of the columns, as they are at least; they grow as needed. */
void grid_write(struct buf *out, const struct grid *g, size_t *width);

#endif
