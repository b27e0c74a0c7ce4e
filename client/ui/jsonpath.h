/* JSONPath templates as kubectl has them, the part that people use: text, {.path}, {"literal\n"}, {range
 * .items[*]}...{end}; in paths .name, ['name'], \. for a dot in a name, [n], [-n], [n,m], [a:b], [a:b:step], ['a','b'],
 * [*], .*, ..name, [?(@.type=="Ready")] with == != < <= > >= and bare existence. Source:
 * https://kubernetes.io/docs/reference/kubectl/jsonpath/. Pure. */
#ifndef CLIENT_UI_JSONPATH_H
#define CLIENT_UI_JSONPATH_H

#include "base/buf.h"
#include "base/err.h"
#include "proto/model/value.h"

#define JSONPATH_RESULTS_MAX 1000000u

/* All values a path (with or without braces around it; a leading '$' or '.' may be missing) leads to. The array lies
 * in the arena. */
int jsonpath_find(struct arena *a, const struct value *root, const char *path, const struct value ***out,
                  unsigned *count, struct error *err);
/* A template. Several values of one path are separated by a space, maps and lists are written as JSON. */
int jsonpath_print(struct arena *a, const struct value *root, const char *text, struct buf *out, struct error *err);
/* -o jsonpath-as-json: what each {path} of the template leads to, as a JSON array. Text between them is refused. */
int jsonpath_print_json(struct arena *a, const struct value *root, const char *text, struct buf *out,
                        struct error *err);
/* One value as text: strings bare, everything else as JSON. */
void jsonpath_write_value(struct buf *out, const struct value *v);

#endif
