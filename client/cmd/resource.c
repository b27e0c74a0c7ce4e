#include "client/cmd/resource.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "client/ui/print.h"
#include "proto/facts/pod_state.h"
#include "proto/schema/selector.h"

int resource_kind(const char *word, const struct kind **out, struct error *err)
{
    *out = kind_by_any_name(str_of(word));
    if (*out != NULL) {
        return 0;
    }
    CLEANUP_BUF struct buf why = BUF_INIT;
    kind_explain_unknown(&why, str_of(word));
    return error_set(err, ERR_USAGE, "there is no resource type \"%s\": %s", word, buf_cstr(&why));
}

static void add(struct resources *out, const struct kind *k, const char *name)
{
    assert(out->count < RESOURCES_MAX);
    out->several_kinds = out->several_kinds || (out->count > 0 && out->items[0].kind != k);
    out->items[out->count++] = (struct resource){.kind = k, .name = name};
}

static int compare_groups(const void *x, const void *y)
{
    const struct kind *a = *(const struct kind *const *)x, *b = *(const struct kind *const *)y;
    int c = str_cmp(kind_group(a), kind_group(b));
    return c != 0 ? c : strcmp(a->plural, b->plural);
}

unsigned resource_all(const struct kind *out[RESOURCE_ALL_MAX])
{
    unsigned count = 0;
    for (unsigned i = 0; i < kinds_count(); i++) {
        if (kinds_at(i)->in_all) {
            assert(count < RESOURCE_ALL_MAX);
            out[count++] = kinds_at(i);
        }
    }
    qsort(out, count, sizeof *out, compare_groups);
    return count;
}

/* TYPE[,TYPE]: the kinds of one word. */
static int add_types(struct arena *a, const char *word, const char *name, struct resources *out, struct error *err)
{
    char *copy = arena_strdup(a, word), *save = NULL;
    for (char *part = strtok_r(copy, ",", &save); part != NULL; part = strtok_r(NULL, ",", &save)) {
        if (out->count + RESOURCE_ALL_MAX >= RESOURCES_MAX) {
            return error_set(err, ERR_USAGE, "more than %u resources", RESOURCES_MAX);
        }
        if (strcmp(part, "all") == 0) {
            const struct kind *all[RESOURCE_ALL_MAX];
            unsigned count = resource_all(all);
            for (unsigned i = 0; i < count; i++) {
                add(out, all[i], name);
            }
            continue;
        }
        const char *version;
        const struct kind *k = kind_in_named_version(str_of(part), &version);
        int rc = k != NULL ? 0 : resource_kind(part, &k, err); /* which says what is wrong */
        if (rc != 0) {
            return rc;
        }
        add(out, k, name);
        out->items[out->count - 1].api_version = version;
    }
    return 0;
}

int resource_parse(struct arena *a, const char *const *words, unsigned count, struct resources *out, struct error *err)
{
    *out = (struct resources){.items = arena_alloc(a, RESOURCES_MAX * sizeof(struct resource))};
    if (count == 0) {
        return error_set(err, ERR_USAGE,
                         "which type of resource? For example: pods, deployments, nodes (\"rctl "
                         "api-resources\" lists them)");
    }
    unsigned slashes = 0;
    for (unsigned i = 0; i < count; i++) {
        slashes += strchr(words[i], '/') != NULL;
    }
    if (slashes != 0 && slashes != count) {
        return error_set(err, ERR_USAGE,
                         "either all words are TYPE/NAME, or the first is a type and the others are names");
    }
    for (unsigned i = 0; i < count && slashes > 0; i++) {
        const char *slash = strchr(words[i], '/');
        const char *type = arena_strndup(a, words[i], (size_t)(slash - words[i]));
        if (slash[1] == '\0') {
            return error_set(err, ERR_USAGE, "\"%s\" has no name behind the slash", words[i]);
        }
        if (strchr(slash + 1, '/') != NULL) {
            return error_set(err, ERR_USAGE, "\"%s\" has more than one slash: it is TYPE/NAME", words[i]);
        }
        int rc = add_types(a, type, slash + 1, out, err);
        if (rc != 0) {
            return rc;
        }
    }
    if (slashes > 0) {
        return 0;
    }
    if (count == 1) {
        return add_types(a, words[0], NULL, out, err);
    }
    for (unsigned i = 1; i < count; i++) {
        int rc = add_types(a, words[0], words[i], out, err);
        if (rc != 0) {
            return rc;
        }
    }
    return 0;
}

int resource_parse_pod_owner(struct arena *a, const char *word, struct resource *out, struct error *err)
{
    const char *slash = strchr(word, '/');
    *out = (struct resource){.kind = kind_by_id(KIND_POD), .name = word};
    if (slash == NULL) {
        return 0;
    }
    int rc = resource_kind(arena_strndup(a, word, (size_t)(slash - word)), &out->kind, err);
    if (rc != 0) {
        return rc;
    }
    out->name = slash + 1;
    if (out->kind->pods == NULL && out->kind->id != KIND_SERVICE) {
        return error_set(err, ERR_USAGE, "%s has no pods; name a pod, deploy/NAME, rs/NAME or svc/NAME", word);
    }
    return 0;
}

const char *resource_title(struct arena *a, const struct kind *k, struct str name)
{
    CLEANUP_BUF struct buf b = BUF_INIT;
    print_kind_name(&b, k);
    buf_printf(&b, "/%.*s", STR_ARG(name));
    return arena_strndup(a, (const char *)b.data, b.size);
}

/* The only object whose name begins with the given text. *out NULL: none. ERR_USAGE: several. */
static int find_prefix(struct rctl *r, const struct resource *res, const char *ns, struct object **out,
                       struct error *err)
{
    *out = NULL;
    CLEANUP_LIST struct api_list list = {0};
    struct api_list_query q = {.kind = res->kind, .ns = ns};
    int rc = api_list(r->api, &q, &list, err);
    unsigned fits = 0;
    CLEANUP_BUF struct buf names = BUF_INIT;
    for (unsigned i = 0; i < list.count && rc == 0; i++) {
        if (str_starts(list.items[i]->name, str_of(res->name))) {
            *out = list.items[i];
            if (++fits <= 4) {
                buf_printf(&names, "%s%.*s", fits > 1 ? ", " : "", STR_ARG(list.items[i]->name));
            }
        }
    }
    if (fits > 1) {
        *out = NULL;
        return error_set(err, ERR_NOT_FOUND, "%s \"%s\" not found, and %u names begin so: %s%s", res->kind->plural,
                         res->name, fits, buf_cstr(&names), fits > 4 ? ", ..." : "");
    }
    if (fits == 1) {
        object_ref(*out);
    }
    return rc;
}

int resource_get(struct rctl *r, const struct resource *res, const char *ns, bool prefix, struct object **out,
                 struct error *err)
{
    struct error first = {0};
    int rc = api_get(r->api, res->kind, ns, res->name, false, out, &first);
    if (rc == ERR_NOT_FOUND && prefix) {
        struct error second = {0};
        int rc2 = find_prefix(r, res, ns, out, &second);
        if (rc2 != 0) {
            *err = second;
            return rc2;
        }
        if (*out != NULL) {
            rctl_note(r, "note: \"%s\" stands for %.*s", res->name, STR_ARG((*out)->name));
            return 0;
        }
    }
    if (rc != 0) {
        *err = first;
    }
    return rc;
}

const char *resource_selector(struct arena *a, const struct object *o, struct error *err)
{
    struct mp wanted = mp_path(object_mp(o), "spec.selector");
    struct selector *s;
    if (o->kind->id == KIND_SERVICE && mp_count(wanted) == 0) {
        error_set(err, ERR_INVALID, "invalid service '%.*s': Service is defined without a selector", STR_ARG(o->name));
        return NULL;
    }
    if (o->kind->id == KIND_CRONJOB) {
        error_set(err, ERR_INVALID, "a CronJob has no pods itself, its Jobs have: job/NAME (\"rctl get jobs\")");
        return NULL;
    }
    if (selector_from_mp(a, wanted, &s, err) != 0) {
        return NULL;
    }
    CLEANUP_BUF struct buf b = BUF_INIT;
    selector_write(&b, s);
    return arena_strndup(a, b.data == NULL ? "" : (const char *)b.data, b.size);
}

static int pod_rank(const struct object *o)
{
    struct str phase = mp_str(mp_path(object_mp(o), "status.phase"));
    if (o->deleting) {
        return 0;
    }
    return pod_ready(o, NULL) ? 4 : str_is(phase, "Running") ? 3 : str_is(phase, "Pending") ? 2 : 1;
}

/* The pod that does best of those that the owner's selector selects. */
static int get_pod_of(struct rctl *r, const char *word, const struct object *owner, struct object **out,
                      struct error *err)
{
    const char *selector = resource_selector(&r->arena, owner, err);
    if (selector == NULL) {
        return err->code;
    }
    CLEANUP_LIST struct api_list list = {0};
    struct api_list_query q = {.kind = kind_by_id(KIND_POD), .ns = rctl_namespace(r), .label_selector = selector};
    int rc = api_list(r->api, &q, &list, err);
    if (rc != 0) {
        return rc;
    }
    struct object *best = NULL;
    for (unsigned i = 0; i < list.count; i++) {
        if (best == NULL || pod_rank(list.items[i]) > pod_rank(best)) {
            best = list.items[i];
        }
    }
    if (best == NULL) {
        return error_set(err, ERR_NOT_FOUND, "%s has no pods (selector %s)", word, selector);
    }
    if (list.count > 1) {
        rctl_note(r, "Found %u pods, using pod/%.*s", list.count, STR_ARG(best->name));
    }
    *out = object_ref(best);
    return 0;
}

int resource_get_pod(struct rctl *r, const char *word, struct object **out, struct object **owner, struct error *err)
{
    struct resource res;
    CLEANUP_OBJECT struct object *named = NULL;
    int rc = resource_parse_pod_owner(&r->arena, word, &res, err);
    rc = rc != 0 ? rc : resource_get(r, &res, rctl_namespace(r), true, &named, err);
    if (rc == 0 && res.kind->id == KIND_POD) {
        *out = TAKE_PTR(named);
    } else if (rc == 0) {
        rc = get_pod_of(r, word, named, out, err);
    }
    if (rc == 0 && owner != NULL) {
        *owner = TAKE_PTR(named);
    }
    return rc;
}
