/* metadata.managedFields as a document, and back: what a client has read and writes again. */
#include "proto/managed/fields_v1.h"

#include <stdio.h>

#include "base/timefmt.h"
#include "proto/managed/managed_int.h"
#include "proto/text/text.h"

#define MANAGER_MAX 128u

struct value *managed_to_value(struct arena *a, struct str bytes, struct str api_version)
{
    CLEANUP_BUF struct buf b = BUF_INIT;
    struct value *list = NULL;
    bool good = managed_write_json(&b, bytes, api_version) && json_read(a, buf_str(&b), &list, NULL) == 0;
    return good ? list : value_list(a);
}

static int bad(struct error *err, const char *where, const char *why)
{
    return error_set_field(err, ERR_INVALID, where, "%s: %s", where, why);
}

/* k: and v: in the form in which they are compared. False: that is no JSON of this sort. */
static bool canonical(struct arena *a, enum managed_sort sort, struct str *text)
{
    struct value *v = NULL;
    CLEANUP_BUF struct buf b = BUF_INIT;
    if (json_read(a, *text, &v, NULL) != 0 || (sort == MANAGED_KEY && (!value_is_map(v) || v->map.count == 0))) {
        return false;
    }
    json_write_canonical(&b, v);
    *text = (struct str){arena_strndup(a, (const char *)b.data, b.size), b.size};
    return true;
}

static bool read_element(struct arena *a, struct str key, struct managed_node *n)
{
    int64_t index;
    *n = (struct managed_node){0};
    if (key.n < 3 || key.p[1] != ':') {
        return false;
    }
    n->text = (struct str){key.p + 2, key.n - 2};
    switch (key.p[0]) {
    case 'f':
        n->sort = MANAGED_FIELD;
        return true;
    case 'k':
        n->sort = MANAGED_KEY;
        return canonical(a, MANAGED_KEY, &n->text);
    case 'v':
        n->sort = MANAGED_VALUE;
        return canonical(a, MANAGED_VALUE, &n->text);
    case 'i':
        n->sort = MANAGED_INDEX;
        return str_to_int64(n->text, &index) && index >= 0;
    default:
        return false;
    }
}

static int read_set(struct arena *a, const struct value *v, const char *where, struct managed_set *s, bool *owned,
                    struct error *err)
{
    for (unsigned i = 0; i < value_count(v); i++) {
        const struct value_member *m = &v->map.members[i];
        struct managed_node n;
        if (str_is(m->key, ".")) {
            *owned = true;
            continue;
        }
        if (!read_element(a, m->key, &n) || (!value_is_map(m->value) && !value_is_null(m->value))) {
            return bad(
                err, where,
                "Invalid value: an element is \"f:NAME\", \"k:{KEYS}\", \"v:VALUE\" or \"i:NUMBER\", and a map of "
                "what is below it");
        }
        int rc = read_set(a, m->value, where, &n.below, &n.owned, err);
        if (rc != 0) {
            return rc;
        }
        n.owned |= n.below.count == 0;
        managed_add(a, s, n);
    }
    managed_close(a, s);
    return 0;
}

static int read_entry(struct arena *a, const struct value *v, const char *where, struct managed_entry *e,
                      struct error *err)
{
    struct str how = value_to_str(value_get(v, "operation")), time = value_to_str(value_get(v, "time"));
    const struct value *fields = value_get(v, "fieldsV1");
    bool owned = false;
    int64_t ms;
    *e = (struct managed_entry){.manager = value_to_str(value_get(v, "manager")),
                                .subresource = value_to_str(value_get(v, "subresource")),
                                .how = str_is(how, "Update") ? MANAGED_UPDATE : MANAGED_APPLY};
    if (!str_is(how, "Update") && !str_is(how, "Apply")) {
        return bad(err, where, "Invalid value: operation must be `Apply` or `Update`");
    }
    if (value_to_str(value_get(v, "apiVersion")).n == 0 ||
        !str_is(value_to_str(value_get(v, "fieldsType")), "FieldsV1")) {
        return bad(err, where, "Invalid value: apiVersion must not be empty, and fieldsType must be `FieldsV1`");
    }
    if (e->manager.n > MANAGER_MAX || e->subresource.n > MANAGER_MAX) {
        return bad(err, where, "Too long: manager and subresource may not be more than 128 bytes");
    }
    if (!value_is_null(fields) && !value_is_map(fields)) {
        return bad(err, where, "Invalid value: fieldsV1 must be a map");
    }
    if (time.n > 0 && timefmt_parse(time, &ms) && ms >= 0) {
        e->has_time = true;
        e->time_s = ms / 1000;
    }
    return read_set(a, fields, where, &e->set, &owned, err);
}

int managed_from_value(struct arena *a, const struct value *list, struct managed *out, struct error *err)
{
    char where[48];
    *out = (struct managed){0};
    if (!value_is_null(list) && !value_is_list(list)) {
        return bad(err, "metadata.managedFields", "Invalid value: must be a list");
    }
    if (value_count(list) > MANAGED_ENTRIES_MAX) {
        return bad(err, "metadata.managedFields", "Too many: must have at most 64 items");
    }
    VALUE_FOR(i, list)
    {
        struct managed_entry e;
        snprintf(where, sizeof where, "metadata.managedFields[%u]", i);
        int rc = read_entry(a, value_item(list, i), where, &e, err);
        if (rc != 0) {
            *out = (struct managed){0};
            return rc;
        }
        if (e.set.count > 0) {
            out->entries = arena_grow(a, out->entries, out->count, &out->cap, sizeof e, 4);
            out->entries[out->count++] = e;
        }
    }
    return 0;
}

bool managed_is_reset(const struct value *list)
{
    const struct value *only = value_item(list, 0);
    return value_is_list(list) && value_count(list) == 1 && value_is_map(only) && only->map.count == 0;
}
