#include "master/rest/form.h"

#include <assert.h>
#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "proto/http/http.h"
#include "proto/managed/managed.h"
#include "proto/protobuf/protobuf.h"
#include "proto/text/text.h"

/* ---- Accept ---- */

/* False: it is none of these, or not allowed. */
static bool read_coding(const struct http_media *m, unsigned allowed, enum rest_coding *out)
{
    *out = REST_JSON;
    if (str_is(m->type, "*/*") || str_is(m->type, "application/*") || http_is_word(m->type, "application/json")) {
        return true;
    }
    if (http_is_word(m->type, REST_YAML_TYPE)) {
        *out = REST_YAML;
        return (allowed & REST_MAY_YAML) != 0;
    }
    *out = REST_PROTOBUF;
    return http_is_word(m->type, PROTOBUF_MEDIA_TYPE) && (allowed & REST_MAY_PROTOBUF) != 0;
}

/* What one media type asks for. False: it cannot be answered so. */
static bool read_media(const struct http_media *m, unsigned allowed, struct rest_form *out)
{
    struct str as = http_media_param(m, "as"), g = http_media_param(m, "g"), v = http_media_param(m, "v");
    *out = (struct rest_form){0};
    if (m->q == 0) {
        return false;
    }
    if (!read_coding(m, allowed, &out->coding)) {
        out->coding = REST_JSON;
        return (allowed & REST_MAY_TEXT) != 0;
    }
    if (as.n == 0) {
        return true;
    }
    if (str_is(as, "APIGroupDiscoveryList")) {
        out->type = REST_FORM_DISCOVERY;
        out->version = str_is(v, "v2") ? "v2" : "v2beta1";
        return (allowed & REST_MAY_DISCOVERY) && out->coding == REST_JSON && str_is(g, "apidiscovery.k8s.io") &&
               (str_is(v, "v2") || str_is(v, "v2beta1"));
    }
    bool table = str_is(as, "Table") && out->coding != REST_PROTOBUF;
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

/* A cell with open ages is a text, in which they stand as they are; all other bytes become UTF-8. */
static void write_open_text(struct buf *out, struct str cell)
{
    CLEANUP_BUF struct buf piece = BUF_INIT;
    buf_putc(out, '"');
    while (cell.n > 0) {
        const char *open = memchr(cell.p, 0xff, cell.n);
        size_t n = open == NULL ? cell.n : (size_t)(open - cell.p);
        size_t age = cell.n - n < KIND_AGE_OPEN_BYTES ? 0 : KIND_AGE_OPEN_BYTES;
        n = age == 0 ? cell.n : n;
        buf_reset(&piece);
        json_write_text(&piece, (struct str){cell.p, n});
        buf_append(out, piece.data + 1, piece.size - 2); /* without its quotes */
        buf_append(out, cell.p + n, age);
        cell = (struct str){cell.p + n + age, cell.n - n - age};
    }
    buf_putc(out, '"');
}

/* The same at any time: what is kept of a row. */
static void write_open_cells(struct buf *out, const struct object *o)
{
    CLEANUP_BUF struct buf cell = BUF_INIT;
    buf_puts(out, "{\"cells\":[");
    for (unsigned i = 0; i < o->kind->columns_count; i++) {
        buf_puts(out, i > 0 ? "," : "");
        buf_reset(&cell);
        kind_write_cell(&cell, &o->kind->columns[i], o, KIND_AGES_OPEN);
        struct str text = buf_str(&cell);
        if (is_plain(&o->kind->columns[i], text)) {
            buf_append_str(out, text);
        } else if (text.n > 0 && memchr(text.p, 0xff, text.n) != NULL) {
            write_open_text(out, text);
        } else {
            json_write_text(out, text);
        }
    }
    buf_putc(out, ']');
}

/* What is secret is kept nowhere. */
static bool is_kept(const struct rest_view *v, const struct object *o)
{
    return v->kept != NULL && !o->kind->secret;
}

static void write_itself(struct buf *out, const struct rest_view *v, const struct object *o, uint64_t revision)
{
    if (is_kept(v, o) && is_stored_version(v, o)) {
        rest_kept_write(v->kept, out, o, revision);
        return;
    }
    bool whole = is_stored_version(v, o) || !object_is_apart(o);
    CLEANUP_OBJECT struct object *unpacked = whole ? NULL : object_unpack(o);
    write_whole(out, v, unpacked != NULL ? unpacked : o, revision);
}

static void write_row(struct buf *out, const struct rest_view *v, const struct object *o, uint64_t revision)
{
    CLEANUP_BUF struct buf made = BUF_INIT;
    bool metadata = v->include == REST_INCLUDE_METADATA, keeps = is_kept(v, o) && revision == o->revision;
    enum rest_kept_what what = metadata && str_is(str_of(v->form.version), "v1") ? REST_KEPT_ROW : REST_KEPT_CELLS;
    struct str row = keeps ? rest_kept_get(v->kept, what, o) : STR_NONE;
    if (row.n == 0) {
        CLEANUP_OBJECT struct object *unpacked = object_is_apart(o) ? object_unpack(o) : NULL;
        const struct object *whole = unpacked != NULL ? unpacked : o; /* a list must not leave all put together */
        write_open_cells(&made, whole);
        if (what == REST_KEPT_ROW) {
            buf_puts(&made, ",\"object\":");
            write_partial(&made, v, whole, revision);
        }
        row = buf_str(&made);
        if (keeps) {
            rest_kept_put(v->kept, what, o, row);
        }
    }
    kind_close_ages(out, row, v->now_ms);
    if (what == REST_KEPT_CELLS && v->include != REST_INCLUDE_NONE) {
        buf_puts(out, ",\"object\":");
        if (metadata) {
            write_partial(out, v, o, revision);
        } else {
            write_itself(out, v, o, revision);
        }
    }
    buf_putc(out, '}');
}

static void write_object(struct buf *out, const struct rest_view *v, const struct object *o, uint64_t revision)
{
    switch (v->form.type) {
    case REST_FORM_TABLE:
        write_row(out, v, o, revision);
        break;
    case REST_FORM_PARTIAL:
        write_partial(out, v, o, revision);
        break;
    case REST_FORM_OBJECT:
    case REST_FORM_DISCOVERY:
        write_itself(out, v, o, revision);
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

static void write_list_head(struct buf *out, const struct rest_view *v, const struct kind *k)
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

static void write_list_end(struct buf *out, const struct rest_list_end *end)
{
    buf_printf(out, "],\"metadata\":{\"resourceVersion\":\"%llu\"", (unsigned long long)end->revision);
    if (end->token.n > 0) {
        buf_puts(out, ",\"continue\":");
        json_write_text(out, end->token);
        if (end->remaining >= 0) {
            buf_printf(out, ",\"remainingItemCount\":%lld", (long long)end->remaining);
        }
    }
    buf_puts(out, "}}");
}

/* ---- Protobuf ---- */

/* The message of an object, in the version that was asked for. */
static void write_message(struct buf *out, const struct rest_view *v, const struct object *o, uint64_t revision)
{
    CLEANUP_ARENA struct arena a;
    CLEANUP_BUF struct buf managed = BUF_INIT, other = BUF_INIT;
    CLEANUP_OBJECT struct object *whole = object_is_apart(o) ? object_unpack(o) : NULL;
    o = whole != NULL ? whole : o;
    struct mp body = object_mp(o), stored = mp_path(body, "metadata." MANAGED_MEMBER);
    struct str version = v->api_version == NULL ? str_of(o->kind->api_version) : str_of(v->api_version), bytes;
    struct protobuf_extra x = {.revision = revision};
    arena_init(&a);
    const struct value *list =
        mp_read_bin(&stored, &bytes) ? managed_to_value(&a, bytes, mp_str(mp_get(body, "apiVersion"))) : NULL;
    if (list != NULL) {
        msgpack_write_value(&managed, list);
        x.managed = mp_of(managed.data, managed.size);
    }
    if (v->form.type == REST_FORM_PARTIAL) {
        protobuf_write_partial(out, mp_get(body, "metadata"), &x);
        return;
    }
    if (!str_is(version, o->kind->api_version)) {
        struct value *doc = object_to_value(&a, o);
        value_remove(value_get(doc, "metadata"), "resourceVersion");
        (void)kind_write_version(o->kind, &a, doc, version, NULL); /* the path was found by it */
        msgpack_write_value(&other, doc);
        body = mp_of(other.data, other.size);
    }
    protobuf_write_message(out, kind_version_schema(o->kind, version), body, &x);
}

/* What an object, or of a list its items, call themselves. */
static void name_message(const struct rest_view *v, const struct kind *k, char version[32], const char **api_version,
                         const char **kind)
{
    *api_version = v->api_version == NULL ? k->api_version : v->api_version;
    *kind = k->name;
    if (v->form.type == REST_FORM_PARTIAL) {
        snprintf(version, 32, "meta.k8s.io/%s", v->form.version);
        *api_version = version;
        *kind = "PartialObjectMetadata";
    }
}

static void write_envelope(struct buf *out, const struct rest_view *v, const struct object *o, uint64_t revision)
{
    char version[32];
    const char *api_version, *kind;
    name_message(v, o->kind, version, &api_version, &kind);
    size_t at = protobuf_open(out, str_of(api_version), str_of(kind));
    write_message(out, v, o, revision);
    protobuf_close(out, at);
}

void rest_write_list_sized(struct buf *out, const struct rest_view *v, const struct kind *k,
                           const struct rest_list_end *end, size_t items_bytes)
{
    char version[32];
    const char *api_version, *kind;
    CLEANUP_BUF struct buf list = BUF_INIT;
    name_message(v, k, version, &api_version, &kind);
    buf_printf(&list, "%sList", kind);
    protobuf_open_list(out, str_of(api_version), buf_str(&list), end->revision, end->token, end->remaining,
                       items_bytes);
}

bool rest_to_protobuf(struct buf *out, struct str json)
{
    CLEANUP_ARENA_WIPE struct arena a; /* a token may be in it */
    struct value *doc = NULL;
    arena_init(&a);
    return json_read(&a, json, &doc, NULL) == 0 && protobuf_write_document(out, doc);
}

/* ---- YAML ---- */

bool rest_to_yaml(struct buf *out, struct str json)
{
    CLEANUP_ARENA_WIPE struct arena a;
    struct value *doc = NULL;
    arena_init(&a);
    if (json_read(&a, json, &doc, NULL) != 0) {
        return false;
    }
    yaml_write(out, doc);
    return true;
}

/* The head of a list in JSON ends within its last member, which is the list of its objects. */
static void write_yaml_head(struct buf *out, const struct rest_view *v, const struct kind *k)
{
    CLEANUP_BUF struct buf json = BUF_INIT;
    CLEANUP_ARENA struct arena a;
    struct value *doc = NULL;
    arena_init(&a);
    write_list_head(&json, v, k);
    buf_puts(&json, "]}");
    int rv = json_read(&a, buf_str(&json), &doc, NULL);
    assert(rv == 0 && doc->map.count > 1);
    struct str objects = doc->map.members[doc->map.count - 1].key;
    doc->map.count--;
    yaml_write(out, doc);
    buf_printf(out, "%.*s:", STR_ARG(objects));
}

static void write_yaml_item(struct buf *out, const struct rest_view *v, const struct object *o, bool first)
{
    CLEANUP_BUF struct buf json = BUF_INIT;
    CLEANUP_ARENA struct arena a;
    struct value *doc = NULL, *list;
    arena_init(&a);
    write_object(&json, v, o, o->revision);
    buf_puts(out, first ? "\n" : "");
    if (json_read(&a, buf_str(&json), &doc, NULL) != 0) { /* larger than what is read: JSON on a line is YAML, too */
        buf_printf(out, "- %s\n", buf_cstr(&json));
        return;
    }
    list = value_list(&a);
    value_append(&a, list, doc);
    yaml_write(out, list);
}

static void write_yaml_end(struct buf *out, const struct rest_list_end *end, bool empty)
{
    CLEANUP_BUF struct buf json = BUF_INIT;
    buf_puts(out, empty ? " []\n" : "");
    buf_puts(&json, "{\"items\":[");
    write_list_end(&json, end);
    CLEANUP_ARENA struct arena a;
    struct value *doc = NULL;
    arena_init(&a);
    int rv = json_read(&a, buf_str(&json), &doc, NULL);
    assert(rv == 0);
    value_remove(doc, "items");
    yaml_write(out, doc);
}

/* ---- Lists ---- */

void rest_write_list_head(struct buf *out, const struct rest_view *v, const struct kind *k)
{
    if (v->form.coding == REST_YAML) {
        write_yaml_head(out, v, k);
    } else if (v->form.coding == REST_JSON) {
        write_list_head(out, v, k);
    }
}

void rest_write_item(struct buf *out, const struct rest_view *v, const struct object *o, bool first)
{
    if (v->form.coding == REST_YAML) {
        write_yaml_item(out, v, o, first);
    } else if (v->form.coding == REST_PROTOBUF) {
        size_t at = protobuf_open_item(out);
        write_message(out, v, o, o->revision);
        protobuf_close_item(out, at);
    } else {
        buf_puts(out, first ? "" : ",");
        write_object(out, v, o, o->revision);
    }
}

void rest_write_list_end(struct buf *out, const struct rest_view *v, const struct rest_list_end *end, bool empty)
{
    if (v->form.coding == REST_YAML) {
        write_yaml_end(out, end, empty);
    } else if (v->form.coding == REST_PROTOBUF) {
        protobuf_close_list(out);
    } else {
        write_list_end(out, end);
    }
}

/* ---- One object ---- */

void rest_write_single(struct buf *out, const struct rest_view *v, const struct object *o, uint64_t revision,
                       bool columns)
{
    if (v->form.coding == REST_PROTOBUF) {
        write_envelope(out, v, o, revision);
    } else if (v->form.type != REST_FORM_TABLE) {
        write_object(out, v, o, revision);
    } else {
        write_table_head(out, v, o->kind, columns);
        write_row(out, v, o, revision);
        write_list_end(out, &(struct rest_list_end){.revision = revision, .remaining = -1});
    }
}
