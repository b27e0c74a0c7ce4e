/* YAML and JSON text: manifests in, documents out.
 *
 * Reading goes through libyaml; text that begins with { and is JSON is read as JSON, also several objects one after the
 * other, as `-o json` writes them. A byte order mark in front is no part of the text. Scalars are typed by the YAML 1.1
 * core as kubectl does (yaml.v2 to JSON): null ~, true/false (yes/no/on/off/y/n too, also as keys), integers (also 0x,
 * 0o, 0b, and 0644 is octal), floats; quoted scalars are strings. Anchors, aliases and merge keys (<<) work; what they
 * expand to is limited (TEXT_NODES_MAX), so a "billion laughs" is an error. Duplicate keys are an error that names
 * both lines. */
#ifndef PROTO_TEXT_TEXT_H
#define PROTO_TEXT_TEXT_H

#include "base/buf.h"
#include "base/err.h"
#include "proto/model/value.h"

#define TEXT_SIZE_MAX  (16u << 20)
#define TEXT_NODES_MAX 1000000u
/* Bytes of strings that aliases may expand to, on top of the text itself. */
#define TEXT_ALIAS_BYTES_MAX (16u << 20)

/* All documents of a stream, in order (empty documents are left out). docs is arena memory. `file` is named in errors
 * ("pod.yaml:7:3: ..."), may be NULL. ERR_INVALID with line, column and what was expected; ERR_TOO_LARGE. */
int yaml_read(struct arena *a, struct str text, const char *file, struct value ***docs, unsigned *count,
              struct error *err);
/* One JSON document, strictly (RFC 8259): for --type=json patches and for text that programs wrote. */
int json_read(struct arena *a, struct str text, struct value **out, struct error *err);
/* Both with a bound of their own, at most TEXT_NODES_MAX, for the values that may come of them: what a peer sends. A
 * value takes up to 100 bytes of the arena, beside its text. */
int yaml_read_most(struct arena *a, struct str text, const char *file, unsigned nodes_max, struct value ***docs,
                   unsigned *count, struct error *err);
int json_read_most(struct arena *a, struct str text, unsigned nodes_max, struct value **out, struct error *err);
/* Objects one after the other with nothing but white space between, appended to the list docs. On an error, docs has
 * those before it and rest begins with what could not be read. keeps_twice: keys that stand twice stay, for
 * text_settle_twice. */
int json_read_objects(struct arena *a, struct str text, const char *file, unsigned nodes_max, bool keeps_twice,
                      struct value *docs, struct str *rest, struct error *err);
/* The same as json_read_most and yaml_read_most, of what programs of others wrote: of a key that stands twice in a map
 * the last one counts, and where it stands ("spec.paused", "spec.ports[2].name") is appended to the list `twice`. More
 * than TEXT_TWICE_MAX of them are ERR_INVALID. */
#define TEXT_TWICE_MAX 16u
int json_read_twice(struct arena *a, struct str text, unsigned nodes_max, struct value **out, struct value *twice,
                    struct error *err);
int yaml_read_twice(struct arena *a, struct str text, const char *file, unsigned nodes_max, struct value ***docs,
                    unsigned *count, struct value *twice, struct error *err);
/* What they do with a document whose reader has kept such keys. */
int text_settle_twice(struct arena *a, struct value *doc, struct value *twice, struct error *err);
/* Without the byte order mark that some editors put in front of UTF-8. */
struct str text_skip_bom(struct str text);
bool utf8_valid(struct str s); /* RFC 3629 */

/* Writers. YAML: block style, two spaces, strings quoted where a YAML 1.1 reader would see another type, multi-line
 * text as literal blocks, map keys in the order given. JSON: RFC 8259; indent 0 = one line. BIN is written as
 * base64. */
void yaml_write(struct buf *out, const struct value *v);
void json_write(struct buf *out, const struct value *v, unsigned indent);
/* One string, with its quotes. */
void json_write_text(struct buf *out, struct str s);
/* The next item of msgpack that is sound (mp_valid) as JSON on one line; *m moves behind it. */
struct mp;
void json_write_mp(struct buf *out, struct mp *m);
/* The beginning of it, for people: no element is begun behind `most` bytes, so that a long list costs no more than
 * what is shown. */
void json_write_begin(struct buf *out, const struct value *v, size_t most);
/* JSON with sorted keys and no spaces: the form that is hashed and kept in annotations. */
void json_write_canonical(struct buf *out, const struct value *v);
/* Sort all map keys by bytes, recursively, as kubectl prints them. */
void value_sort(struct value *v);

/* Base64 (RFC 4648, with padding). Decode returns false on malformed input. */
void base64_write(struct buf *out, const void *p, size_t n);
bool base64_read(struct buf *out, struct str text);
/* base64url without padding (RFC 4648 section 5). Read is only what write writes: one text for one content. */
void base64url_write(struct buf *out, const void *p, size_t n);
bool base64url_read(struct buf *out, struct str text);

#endif
