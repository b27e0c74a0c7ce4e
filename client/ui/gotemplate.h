/* Templates as `-o go-template` has them: the part of Go's text/template that people use on objects.
 *
 * Understood: {{.a.b}}, {{$x}}, {{$x := PIPELINE}}, {{$x = PIPELINE}}, pipelines (a | f b), parentheses, comments, trim
 * markers {{- and -}}, if / else if / else / end, range (also $i, $e :=) with else, break and continue, with / else,
 * define, template, block; strings in "" and ``, characters, numbers, true, false, nil; the functions and or not len
 * index slice eq ne lt le gt ge print printf println html js urlquery, and kubectl's exists and base64decode. Sources:
 * https://pkg.go.dev/text/template and the page of kubectl's output formats.
 *
 * Differs on purpose: numbers keep their kind, so that large integers are not printed as floats and `eq .spec.replicas
 * 2` holds; what has no value prints <no value>, as kubectl does by default. Pure. */
#ifndef CLIENT_UI_GOTEMPLATE_H
#define CLIENT_UI_GOTEMPLATE_H

#include "base/buf.h"
#include "base/err.h"
#include "proto/model/value.h"

#define GOTEMPLATE_SIZE_MAX  (1u << 20)
#define GOTEMPLATE_DEPTH_MAX 100u         /* blocks, parentheses and templates within each other */
#define GOTEMPLATE_STEPS_MAX 2000000u     /* nodes, calls and turns of ranges that one execution may take */
#define GOTEMPLATE_OUT_MAX   (256u << 20) /* bytes that one execution may write */

struct gotemplate; /* in the arena it was parsed into */
/* ERR_USAGE with line and column of what is wrong. The text is borrowed. */
int gotemplate_parse(struct arena *a, const char *text, struct gotemplate **out, struct error *err);
/* Writes what the template makes of root. On an error (ERR_USAGE, ERR_TOO_LARGE) out has what came before it. */
int gotemplate_run(struct arena *a, const struct gotemplate *t, const struct value *root, struct buf *out,
                   struct error *err);

#endif
