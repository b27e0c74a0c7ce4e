/* Objects as people and scripts read them: tables from the kinds' columns, YAML, JSON, names, jsonpath, custom
 * columns. Pure. */
#ifndef CLIENT_UI_PRINT_H
#define CLIENT_UI_PRINT_H

#include "base/buf.h"
#include "base/err.h"
#include "proto/model/value.h"
#include "proto/schema/object.h"
#include "proto/text/grid.h"

enum print_form {
    PRINT_TABLE,
    PRINT_WIDE,
    PRINT_YAML,
    PRINT_JSON,
    PRINT_NAME,
    PRINT_JSONPATH,
    PRINT_JSONPATH_JSON,
    PRINT_CUSTOM,
    PRINT_TEMPLATE
};
struct gotemplate;
struct print_options {
    enum print_form form;
    const char *argument;              /* of jsonpath= and custom-columns=; of the -file forms what the file has */
    const struct gotemplate *template; /* PRINT_TEMPLATE */
    bool show_labels, no_headers;
    const char *const *label_columns; /* NULL-terminated keys of labels that are columns; NULL = none */
    const char *event;                /* first column of tables, for watches: what happened; NULL = none */
    bool with_namespace;              /* first column, for -A */
    bool with_kind;                   /* names as kind/name, when several kinds are shown */
    bool managed;                     /* documents have metadata.managedFields, if there are any */
    /* Documents of the kind are written in this version; NULL = in the kind's. */
    const struct kind *version_kind;
    const char *api_version;
};
/* A form of -o by its row in print.c: "wide", "yaml", "jsonpath=...", "go-template-file=FILE" and so on; NULL = table.
 * argument: of --template, for a form without "=", NULL = none. Templates are parsed and files are read here, before
 * anything is asked of a master. ERR_USAGE lists the forms. */
int print_parse_form(struct arena *a, const char *text, const char *argument, struct print_options *o,
                     struct error *err);

/* "pod", "deployment.apps": as kubectl names kinds in its messages. */
void print_kind_name(struct buf *out, const struct kind *k);

/* Column widths are kept between calls, so that rows of a watch line up with those before. */
#define PRINT_COLUMNS_MAX GRID_COLUMNS_MAX
struct print_widths {
    const struct kind *kind;
    unsigned count;
    size_t width[PRINT_COLUMNS_MAX];
};
/* Rows of one kind; the header comes when the widths are new. */
void print_table(struct buf *out, const struct print_options *o, const struct kind *k, struct object *const *objects,
                 unsigned count, int64_t now_ms, struct print_widths *widths);

/* As a document, keys sorted; without metadata.managedFields, unless `managed`. */
struct value *print_document(struct arena *a, const struct object *o);
struct value *print_managed_document(struct arena *a, const struct object *o);
struct value *print_list_document(struct arena *a, struct object *const *objects, unsigned count, bool managed);
/* All forms but the tables. single: one object was asked for by name, so no List is put around it. */
int print_objects(struct arena *a, struct buf *out, const struct print_options *o, struct object *const *objects,
                  unsigned count, bool single, struct error *err);
/* A document that is no object of the API, by any form but tables, names and columns (ERR_USAGE). */
int print_any_document(struct arena *a, struct buf *out, const struct print_options *o, const struct value *doc,
                       struct error *err);

#endif
