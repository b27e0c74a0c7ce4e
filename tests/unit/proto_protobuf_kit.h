/* Protobuf written by hand: the text of a message, made into bytes by an encoder of its own.
 *
 *   1 {1 "v1" 2 "Pod"} 2 {4 7 5 -1 6 <0aff> 7 {}}
 *
 * A number is a field's; behind it stands a message in braces, a text in quotes, bytes in hexadecimal, or a number
 * (a varint). */
#ifndef TESTS_UNIT_PROTO_PROTOBUF_KIT_H
#define TESTS_UNIT_PROTO_PROTOBUF_KIT_H

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "base/timefmt.h"
#include "proto/schema/kind.h"
#include "proto/text/text.h"

static inline void pbkit_varint(struct buf *out, unsigned long long v)
{
    do {
        buf_put_u8(out, (uint8_t)((v & 127) + (v > 127 ? 128 : 0)));
        v >>= 7;
    } while (v > 0);
}

static inline const char *pbkit_blank(const char *t)
{
    return t + strspn(t, " \n");
}

/* Fields up to a closing brace or the end; returns where it stopped. */
static inline const char *pbkit_fields(struct buf *out, const char *t)
{
    for (t = pbkit_blank(t); *t != '\0' && *t != '}'; t = pbkit_blank(t)) {
        CLEANUP_BUF struct buf b = BUF_INIT;
        char *end;
        unsigned long number = strtoul(t, &end, 10);
        t = pbkit_blank(end);
        if (*t == '{') {
            t = pbkit_fields(&b, t + 1) + 1;
        } else if (*t == '"') {
            size_t n = strcspn(t + 1, "\"");
            buf_append(&b, t + 1, n);
            t += n + 2;
        } else if (*t == '<') {
            for (t++; *t != '>'; t += 2) {
                char digits[3] = {t[0], t[1], '\0'};
                buf_put_u8(&b, (uint8_t)strtoul(digits, NULL, 16));
            }
            t++;
        } else {
            pbkit_varint(out, number << 3);
            pbkit_varint(out, (unsigned long long)strtoll(t, &end, 10));
            t = end;
            continue;
        }
        pbkit_varint(out, number << 3 | 2);
        pbkit_varint(out, b.size);
        buf_append_str(out, buf_str(&b));
    }
    return t;
}

static inline void pbkit_bytes(struct buf *out, unsigned number, struct str s)
{
    pbkit_varint(out, number << 3 | 2);
    pbkit_varint(out, s.n);
    buf_append_str(out, s);
}

/* A whole body of a request: the magic bytes, and the envelope around the message. */
static inline void pbkit_envelope(struct buf *out, const char *api_version, const char *kind, struct str raw)
{
    CLEANUP_FREE char *meta = xasprintf("1 {1 \"%s\" 2 \"%s\"}", api_version, kind);
    buf_append(out, "k8s", 4);
    pbkit_fields(out, meta);
    pbkit_bytes(out, 2, raw);
    pbkit_fields(out, "3 \"\" 4 \"\"");
}

static inline void pbkit_body(struct buf *out, const char *api_version, const char *kind, const char *message)
{
    CLEANUP_BUF struct buf raw = BUF_INIT;
    pbkit_fields(&raw, message);
    pbkit_envelope(out, api_version, kind, buf_str(&raw));
}

/* ---- Documents, by the numbers of their tables ---- */

static inline bool pbkit_object(struct buf *out, const struct schema *s, const struct value *v);

/* The message that a scalar is, if it is one. */
static inline void pbkit_scalar(struct buf *b, const struct field *f, const struct value *v)
{
    int64_t ms = 0;
    if (f->type == FIELD_TIME && timefmt_parse(value_to_str(v), &ms)) {
        int64_t seconds = ms / 1000 - (ms % 1000 < 0);
        const char *dot = memchr(v->str.p, '.', v->str.n);
        char digits[10] = "000000000";
        for (unsigned i = 0; dot != NULL && i < 9 && isdigit((unsigned char)dot[i + 1]); i++) {
            digits[i] = dot[i + 1];
        }
        pbkit_varint(b, 1 << 3);
        pbkit_varint(b, (unsigned long long)seconds);
        pbkit_varint(b, 2 << 3);
        pbkit_varint(b, strtoull(digits, NULL, 10));
    } else if (f->type == FIELD_QUANTITY) {
        pbkit_bytes(b, 1, value_to_str(v));
    } else if (f->type == FIELD_INT_OR_STRING) {
        pbkit_varint(b, 1 << 3);
        pbkit_varint(b, v->type == VALUE_STR);
        pbkit_varint(b, 2 << 3);
        pbkit_varint(b, v->type == VALUE_STR ? 0 : (unsigned long long)v->integer);
        pbkit_bytes(b, 3, value_to_str(v));
    } else if (f->type == FIELD_ANY) {
        CLEANUP_BUF struct buf json = BUF_INIT;
        json_write(&json, v, 0);
        pbkit_bytes(b, 1, buf_str(&json));
    } else if (v->type == VALUE_STR || v->type == VALUE_BIN) {
        buf_append_str(b, v->str);
    }
}

static inline bool pbkit_value(struct buf *out, unsigned number, const struct field *f, const struct value *v)
{
    CLEANUP_BUF struct buf b = BUF_INIT;
    if (f->type == FIELD_BOOL || f->type == FIELD_INT32 || f->type == FIELD_INT64) {
        pbkit_varint(out, number << 3);
        pbkit_varint(out, f->type == FIELD_BOOL ? v->boolean : (unsigned long long)v->integer);
        return true;
    }
    if (f->type == FIELD_OBJECT && !pbkit_object(&b, f->sub, v)) {
        return false;
    }
    if (f->type == FIELD_TIME && !(f->flags & FIELD_MICRO) && memchr(v->str.p, '.', v->str.n) != NULL) {
        return false; /* Kubernetes' Time has whole seconds */
    }
    if (f->type != FIELD_OBJECT) {
        pbkit_scalar(&b, f, v);
    }
    pbkit_bytes(out, number, buf_str(&b));
    return true;
}

static inline bool pbkit_field(struct buf *out, unsigned number, const struct field *f, const struct value *v)
{
    bool fits = f->shape != SHAPE_ONE || pbkit_value(out, number, f, v);
    for (unsigned i = 0; fits && f->shape != SHAPE_ONE && i < value_count(v); i++) {
        CLEANUP_BUF struct buf entry = BUF_INIT;
        if (f->shape == SHAPE_LIST) {
            fits = pbkit_value(out, number, f, value_item(v, i));
            continue;
        }
        pbkit_bytes(&entry, 1, v->map.members[i].key);
        fits = pbkit_value(&entry, 2, f, v->map.members[i].value);
        pbkit_bytes(out, number, buf_str(&entry));
    }
    return fits;
}

/* A checked document as a message. False: it has what no message can say. */
static inline bool pbkit_object(struct buf *out, const struct schema *s, const struct value *v)
{
    struct field_number last = {0, 0};
    for (unsigned i = 0; i < s->count; i++) {
        const struct field *f = &s->fields[i];
        struct field_number n = field_number_next(&last, f);
        const struct value *member = value_get(v, f->name);
        CLEANUP_BUF struct buf inner = BUF_INIT;
        if (member == NULL || (n.number == 0 && f->type != FIELD_ANY)) {
            continue;
        }
        if (n.number == 0 || !pbkit_field(n.inside != 0 ? &inner : out, n.number, f, member)) {
            return false;
        }
        if (n.inside != 0) {
            pbkit_bytes(out, n.inside, buf_str(&inner));
        }
    }
    return true;
}

static inline bool pbkit_document(struct buf *out, const struct kind *k, const struct value *doc)
{
    CLEANUP_BUF struct buf raw = BUF_INIT;
    bool fits = !k->json_only && pbkit_object(&raw, k->schema, doc);
    pbkit_envelope(out, k->api_version, k->name, buf_str(&raw));
    return fits;
}

#endif
