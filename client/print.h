/* Objects as people and scripts read them: tables from the kinds' columns, YAML, JSON, names, jsonpath, custom columns. Pure. */
#ifndef CLIENT_PRINT_H
#define CLIENT_PRINT_H

#include "base/buf.h"
#include "base/err.h"
#include "proto/object.h"
#include "proto/value.h"

enum print_form { PRINT_TABLE, PRINT_WIDE, PRINT_YAML, PRINT_JSON, PRINT_NAME, PRINT_JSONPATH, PRINT_CUSTOM };
struct print_options {
    enum print_form form;
    const char *argument; /* of jsonpath= and custom-columns= */
    bool show_labels, no_headers;
    bool with_namespace; /* first column, for -A */
    bool with_kind;      /* names as kind/name, when several kinds are shown */
};
/* "wide", "yaml", "json", "name", "jsonpath=...", "custom-columns=..."; NULL = table. ERR_USAGE lists the forms. */
int print_parse_form(const char *text, struct print_options *o, struct error *err);

/* "pod", "deployment.apps": as kubectl names kinds in its messages. */
void print_kind_name(struct buf *out, const struct kind *k);

/* Column widths are kept between calls, so that rows of a watch line up with those before. */
#define PRINT_COLUMNS_MAX 32u
struct print_widths {
    const struct kind *kind;
    unsigned count;
    size_t width[PRINT_COLUMNS_MAX];
};
/* Rows of one kind; the header comes when the widths are new. */
void print_table(struct buf *out, const struct print_options *o, const struct kind *k, struct object *const *objects,
                 unsigned count, int64_t now_ms, struct print_widths *widths);

/* As a document, keys sorted. */
struct value *print_document(struct arena *a, const struct object *o);
struct value *print_list_document(struct arena *a, struct object *const *objects, unsigned count);
/* All forms but the tables. single: one object was asked for by name, so no List is put around it. */
int print_objects(struct arena *a, struct buf *out, const struct print_options *o, struct object *const *objects,
                  unsigned count, bool single, struct error *err);
/* A plain table: cells row by row, `columns` of them each, three blanks between, nothing behind the last. */
void print_grid(struct buf *out, const char *const *cells, unsigned columns, unsigned rows);

#endif
