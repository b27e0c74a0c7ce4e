#include "master/rest/form.h"

#include <ctype.h>
#include <string.h>

#include "proto/http/http.h"
#include "proto/managed/managed.h"
#include "proto/text/text.h"

/* ---- Accept ---- */

/* What one media type asks for. False: it cannot be answered so. */
static bool read_media(const struct http_media *m, unsigned allowed, struct rest_form *out)
{
    struct str as = http_media_param(m, "as"), g = http_media_param(m, "g"), v = http_media_param(m, "v");
    bool any = str_is(m->type, "*/*") || str_is(m->type, "application/*");
    *out = (struct rest_form){0};
    if (m->q == 0) {
        return false;
    }
    if (!any && !http_is_word(m->type, "application/json")) {
        return (allowed & REST_MAY_TEXT) != 0;
    }
    if (as.n == 0) {
        return true;
    }
    if (str_is(as, "APIGroupDiscoveryList")) {
        out->type = REST_FORM_DISCOVERY;
        out->version = str_is(v, "v2") ? "v2" : "v2beta1";
        return (allowed & REST_MAY_DISCOVERY) && str_is(g, "apidiscovery.k8s.io") &&
               (str_is(v, "v2") || str_is(v, "v2beta1"));
    }
    bool table = str_is(as, "Table");
    bool partial = (str_is(as, "PartialObjectMetadata") && (allowed & REST_MAY_PARTIAL)) ||
                   (str_is(as, "PartialObjectMetadataList") && (allowed & REST_MAY_PARTIALS));
    out->type = table ? REST_FORM_TABLE : REST_FORM_PARTIAL;
    out->version = str_is(v, "v1") ? "v1" : "v1beta1";
    return str_is(g, "meta.k8s.io") && (str_is(v, "v1") || str_is(v, "v1beta1")) &&
           (table ? (allowed & REST_MAY_TABLE) != 0 : partial);
}

bool rest_form_choose(struct str accept, unsigned allowed, struct rest_form *out)
{
    struct http_media m;
    unsigned best = 0;
    *out = (struct rest_form){0};
    if (accept.n == 0) {
        return true;
    }
    while (http_media_next(&accept, &m)) {
        struct rest_form form;
        if (read_media(&m, allowed, &form) && m.q > best) {
            best = m.q;
            *out = form;
        }
    }
    return best > 0;
}

/* ---- Objects ---- */

/* Who manages what, in the terms of the stored version. */
static void show_managed(struct arena *a, struct value *doc)
{
    struct value *metadata = value_get(doc, "metadata"), *stored = value_get(metadata, MANAGED_MEMBER);
    if (stored != NULL && stored->type == VALUE_BIN) {
        value_set(a, metadata, "managedFields",
                  managed_to_value(a, stored->str, value_to_str(value_get(doc, "apiVersion"))));
        value_remove(metadata, MANAGED_MEMBER);
    }
}

/* Of a version that is not the stored one. */
static void write_converted(struct buf *out, const char *api_version, const struct object *o, uint64_t revision)
{
    CLEANUP_ARENA struct arena a;
    arena_init(&a);
    struct value *doc = object_to_value(&a, o);
    if (revision > 0) {
        value_set(&a, value_ensure_map(&a, doc, "metadata"), "resourceVersion",
                  value_strf(&a, "%llu", (unsigned long long)revision));
    }
    show_managed(&a, doc);
    (void)kind_write_version(o->kind, &a, doc, str_of(api_version), NULL); /* the path was found by it */
    json_write(out, doc, 0);
}

static bool is_stored_version(const struct rest_view *v, const struct object *o)
{
    return v->api_version == NULL || strcmp(v->api_version, o->kind->api_version) == 0;
}

static void write_whole(struct buf *out, const struct rest_view *v, const struct object *o, uint64_t revision)
{
    if (is_stored_version(v, o)) {
        object_write_json(out, o, revision);
    } else {
        write_converted(out, v->api_version, o, revision);
    }
}

static void write_partial(struct buf *out, const struct rest_view *v, const struct object *o, uint64_t revision)
{
    buf_puts(out, "{\"kind\":\"PartialObjectMetadata\",\"apiVersion\":\"meta.k8s.io/");
    buf_puts(out, v->form.version == NULL ? "v1" : v->form.version);
    buf_puts(out, "\",\"metadata\":");
    /* Rows carry metadata so that whoever has them can find the object, no more. */
    object_write_json_metadata(out, o, revision, v->form.type != REST_FORM_TABLE);
    buf_putc(out, '}');
}

/* ---- Tables ---- */

/* "NOMINATED NODE" -> "Nominated Node": clients write titles large themselves. */
static void write_title(struct buf *out, const char *title)
{
    bool start = true;
    buf_putc(out, '"');
    for (const char *p = title; *p != '\0'; p++) {
        buf_putc(out, start ? *p : (char)tolower((unsigned char)*p));
        start = !isalnum((unsigned char)*p);
    }
    buf_putc(out, '"');
}

static void write_columns(struct buf *out, const struct kind *k)
{
    buf_puts(out, "\"columnDefinitions\":[");
    for (unsigned i = 0; i < k->columns_count; i++) {
        const struct column *c = &k->columns[i];
        buf_puts(out, i > 0 ? ",{\"name\":" : "{\"name\":");
        write_title(out, c->title);
        buf_printf(out, ",\"type\":\"%s\",\"format\":\"%s\",\"description\":\"\",\"priority\":%d}",
                   c->value == COLUMN_INTEGER   ? "integer"
                   : c->value == COLUMN_BOOLEAN ? "boolean"
                                                : "string",
                   str_is(str_of(c->title), "NAME") ? "name" : "", c->wide ? 1 : 0);
    }
    buf_puts(out, "],");
}

/* What is not known ("<none>", "<unknown>") is text in every column. */
static bool is_plain(const struct column *c, struct str cell)
{
    int64_t n;
    return c->value != COLUMN_TEXT && (str_to_int64(cell, &n) || str_is(cell, "true") || str_is(cell, "false"));
}

static void write_row(struct buf *out, const struct rest_view *v, const struct object *o, uint64_t revision)
{
    buf_puts(out, "{\"cells\":[");
    CLEANUP_BUF struct buf cell = BUF_INIT;
    for (unsigned i = 0; i < o->kind->columns_count; i++) {
        buf_puts(out, i > 0 ? "," : "");
        buf_reset(&cell);
        kind_write_cell(&cell, &o->kind->columns[i], o, v->now_ms);
        if (is_plain(&o->kind->columns[i], buf_str(&cell))) {
            buf_append_str(out, buf_str(&cell));
        } else {
            json_write_text(out, buf_str(&cell));
        }
    }
    buf_puts(out, "]");
    if (v->include != REST_INCLUDE_NONE) {
        buf_puts(out, ",\"object\":");
        if (v->include == REST_INCLUDE_OBJECT) {
            write_whole(out, v, o, revision);
        } else {
            write_partial(out, v, o, revision);
        }
    }
    buf_putc(out, '}');
}

/* What is secret is kept nowhere. */
static bool is_kept(const struct rest_view *v, const struct object *o)
{
    return v->kept != NULL && v->form.type == REST_FORM_OBJECT && !o->kind->secret && is_stored_version(v, o);
}

void rest_write_object(struct buf *out, const struct rest_view *v, const struct object *o, uint64_t revision)
{
    if (is_kept(v, o)) {
        rest_kept_write(v->kept, out, o, revision);
        return;
    }
    bool looked_at =
        v->form.type == REST_FORM_TABLE || !is_stored_version(v, o); /* in parts, and not written as it is */
    CLEANUP_OBJECT struct object *whole = looked_at && object_is_apart(o) ? object_unpack(o) : NULL;
    o = whole != NULL ? whole : o; /* a list of all pods must not leave them put together */
    switch (v->form.type) {
    case REST_FORM_TABLE:
        write_row(out, v, o, revision);
        break;
    case REST_FORM_PARTIAL:
        write_partial(out, v, o, revision);
        break;
    case REST_FORM_OBJECT:
    case REST_FORM_DISCOVERY:
        write_whole(out, v, o, revision);
        break;
    }
}

static void write_table_head(struct buf *out, const struct rest_view *v, const struct kind *k, bool columns)
{
    buf_printf(out, "{\"kind\":\"Table\",\"apiVersion\":\"meta.k8s.io/%s\",", v->form.version);
    if (columns) {
        write_columns(out, k);
    } else {
        buf_puts(out, "\"columnDefinitions\":null,");
    }
    buf_puts(out, "\"rows\":[");
}

void rest_write_list_head(struct buf *out, const struct rest_view *v, const struct kind *k)
{
    switch (v->form.type) {
    case REST_FORM_TABLE:
        write_table_head(out, v, k, true);
        break;
    case REST_FORM_PARTIAL:
        buf_printf(out, "{\"kind\":\"PartialObjectMetadataList\",\"apiVersion\":\"meta.k8s.io/%s\",\"items\":[",
                   v->form.version);
        break;
    case REST_FORM_OBJECT:
    case REST_FORM_DISCOVERY:
        buf_printf(out, "{\"kind\":\"%sList\",\"apiVersion\":\"%s\",\"items\":[", k->name,
                   v->api_version == NULL ? k->api_version : v->api_version);
        break;
    }
}

void rest_write_list_end(struct buf *out, uint64_t revision, struct str token, int64_t remaining)
{
    buf_printf(out, "],\"metadata\":{\"resourceVersion\":\"%llu\"", (unsigned long long)revision);
    if (token.n > 0) {
        buf_puts(out, ",\"continue\":");
        json_write_text(out, token);
        if (remaining >= 0) {
            buf_printf(out, ",\"remainingItemCount\":%lld", (long long)remaining);
        }
    }
    buf_puts(out, "}}");
}

void rest_write_single(struct buf *out, const struct rest_view *v, const struct object *o, uint64_t revision,
                       bool columns)
{
    if (v->form.type != REST_FORM_TABLE) {
        rest_write_object(out, v, o, revision);
        return;
    }
    write_table_head(out, v, o->kind, columns);
    write_row(out, v, o, revision);
    rest_write_list_end(out, revision, STR_NONE, -1);
}
