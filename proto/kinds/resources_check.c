/* Rules for amounts of resources: which names there are, which amounts make sense, and how requests and limits go
 * together. Source: Kubernetes v1.29, "Resource Management for Pods and Containers", "Manage HugePages", extended
 * resources of nodes. */
#include "proto/kinds/kinds.h"
#include "proto/model/quantity.h"

static bool has_prefix(struct str name)
{
    return name.n > 0 && memchr(name.p, '/', name.n) != NULL;
}

static bool contains(struct str s, const char *part)
{
    return s.n > 0 && memmem(s.p, s.n, part, strlen(part)) != NULL;
}

/* Of the system: without a prefix, or with its own. */
static bool is_native(struct str name)
{
    return !has_prefix(name) || contains(name, "kubernetes.io/");
}

/* Devices and the like, which others define. With "requests." in front the name must still be one, for quotas. */
static bool is_extended(struct str name)
{
    const char *slash = has_prefix(name) ? memchr(name.p, '/', name.n) : NULL;
    return !is_native(name) && !str_starts(name, STR("requests.")) && name_is_label_key(name) &&
           (size_t)(slash - name.p) + strlen("requests.") <= 253;
}

static bool is_huge_page(struct str name)
{
    return str_starts(name, STR("hugepages-"));
}

/* Whole pages only, of the size that the name says. */
static bool is_whole_pages(struct str name, struct str amount)
{
    const struct str prefix = STR("hugepages-");
    struct str size = {name.p + prefix.n, name.n - prefix.n};
    int64_t page, bytes, milli;
    return quantity_valid(size) && quantity_units(size, &page) && page > 0 && quantity_units(amount, &bytes) &&
           bytes % page == 0 && (!quantity_milli(amount, &milli) || milli % 1000 == 0);
}

/* Devices, huge pages and what else cannot be shared out in parts: requests and limits must be equal. */
static bool is_exact(struct str name)
{
    return !is_native(name) || is_huge_page(name);
}

static void check_amount(struct errlist *l, const struct value_member *m, const struct fpath *p)
{
    int64_t milli;
    if (quantity_cmp(value_to_str(m->value), STR("0")) < 0) {
        bad_value(l, m->value, p, "must be greater than or equal to 0");
    } else if (is_extended(m->key) && quantity_milli(value_to_str(m->value), &milli) && milli % 1000 != 0) {
        bad_value(l, m->value, p, "must be an integer");
    }
}

static struct value *key_value(struct errlist *l, const struct value_member *m)
{
    struct value *key = value_str(l->arena, m->key);
    key->line = m->line;
    key->column = m->column;
    return key;
}

void check_resource_list(struct errlist *l, const struct value *list, const struct fpath *p)
{
    for (unsigned i = 0; i < value_count(list) && l->count < ERRLIST_MAX; i++) {
        const struct value_member *m = &list->map.members[i];
        if (!name_is_label_key(m->key)) {
            bad_value(l, key_value(l, m), FPATH_KEY(p, m->key), NAME_LABEL_KEY_WHY);
        }
        check_amount(l, m, FPATH_KEY(p, m->key));
    }
}

void check_container_resources(struct errlist *l, const struct value *list, const struct fpath *p)
{
    for (unsigned i = 0; i < value_count(list) && l->count < ERRLIST_MAX; i++) {
        const struct value_member *m = &list->map.members[i];
        const struct fpath *at = FPATH_KEY(p, m->key);
        if (!name_is_label_key(m->key)) {
            bad_value(l, key_value(l, m), at, NAME_LABEL_KEY_WHY);
        } else if (!has_prefix(m->key) && !in_choices(m->key, "cpu|memory|ephemeral-storage") &&
                   !is_huge_page(m->key)) {
            bad_value(l, key_value(l, m), at,
                      "must be a standard resource for containers, or have a prefix (such as example.com/name)");
        } else if (!is_native(m->key) && !is_extended(m->key)) {
            bad_value(l, key_value(l, m), at, "must not begin with 'requests.', nor have a prefix so long");
        }
        check_amount(l, m, at);
        if (is_huge_page(m->key) && !is_whole_pages(m->key, value_to_str(m->value))) {
            bad_value(l, m->value, at,
                      arena_printf(l->arena, "must be a multiple of the page size in %.*s", STR_ARG(m->key)));
        }
    }
}

static void check_against_limit(const struct value_member *request, const struct value *limit, const struct fpath *p,
                                struct errlist *l)
{
    bool exact = is_exact(request->key);
    if (limit == NULL) {
        if (exact) {
            bad_missing(l, request->value, FPATH_AT(p, "limits"),
                        arena_printf(l->arena, "a limit must be set for %.*s, which cannot be overcommitted",
                                     STR_ARG(request->key)));
        }
        return;
    }
    int c = quantity_cmp(value_to_str(request->value), value_to_str(limit));
    if (c > 0 || (exact && c != 0)) {
        bad_value(l, request->value, FPATH_AT(p, "requests"),
                  arena_printf(l->arena, "must be %s %.*s limit of %.*s", exact ? "equal to" : "less than or equal to",
                               STR_ARG(request->key), STR_ARG(value_to_str(limit))));
    }
}

static bool any_name(const struct value *limits, const struct value *requests, bool (*is)(struct str))
{
    const struct value *const both[] = {limits, requests};
    for (unsigned k = 0; k < ARRAY_SIZE(both); k++) {
        for (unsigned i = 0; i < value_count(both[k]); i++) {
            if (is(both[k]->map.members[i].key)) {
                return true;
            }
        }
    }
    return false;
}

static bool is_cpu_or_memory(struct str name)
{
    return in_choices(name, "cpu|memory");
}

static void check_claims(const struct value *pod, const struct value *claims, const struct fpath *p, struct errlist *l)
{
    VALUE_FOR(i, claims)
    {
        const struct value *c = value_item(claims, i), *name = value_get(c, "name");
        const struct fpath *at = FPATH_AT(FPATH_ITEM(p, i), "name");
        if (value_to_str(name).n == 0) {
            continue; /* the table has said it */
        }
        if (value_get(c, "request") == NULL && value_find(claims, "name", value_to_str(name)) != c) {
            bad_duplicate(l, name, at);
        }
        if (value_find(value_get(pod, "resourceClaims"), "name", value_to_str(name)) == NULL) {
            bad_not_found(l, name, at);
        }
    }
}

static void check_resize(const struct value *pod, const struct value *list, const struct fpath *p, struct errlist *l)
{
    bool never = str_is(value_to_str(value_get(pod, "restartPolicy")), "Never");
    VALUE_FOR(i, list)
    {
        const struct value *r = value_item(list, i), *name = value_get(r, "resourceName");
        const struct value *policy = value_get(r, "restartPolicy");
        const struct fpath *at = FPATH_ITEM(p, i);
        if (value_to_str(name).n > 0 && !is_cpu_or_memory(value_to_str(name))) {
            bad_choice(l, name, FPATH_AT(at, "resourceName"), "cpu|memory");
        } else if (value_to_str(name).n > 0 && value_find(list, "resourceName", value_to_str(name)) != r) {
            bad_duplicate(l, name, FPATH_AT(at, "resourceName"));
        }
        if (value_to_str(policy).n > 0 && !in_choices(value_to_str(policy), "NotRequired|RestartContainer")) {
            bad_choice(l, policy, FPATH_AT(at, "restartPolicy"), "NotRequired|RestartContainer");
        } else if (never && str_is(value_to_str(policy), "RestartContainer")) {
            bad_value(l, policy, FPATH_AT(at, "restartPolicy"),
                      "must be 'NotRequired' when `restartPolicy` of the pod is 'Never'");
        }
    }
}

void container_resources_check(const struct value *pod, const struct value *container, const struct fpath *p,
                               struct errlist *l)
{
    const struct value *resources = value_get(container, "resources");
    const struct value *limits = value_get(resources, "limits"), *requests = value_get(resources, "requests");
    const struct fpath *at = FPATH_AT(p, "resources");
    check_container_resources(l, limits, FPATH_AT(at, "limits"));
    check_container_resources(l, requests, FPATH_AT(at, "requests"));
    CLEANUP_VALUE_INDEX struct value_index index = value_index_new(limits);
    for (unsigned i = 0; i < value_count(requests); i++) {
        const struct value_member *m = &requests->map.members[i];
        unsigned found = value_index_find(&index, m->key);
        check_against_limit(m, found == VALUE_NOT_FOUND ? NULL : limits->map.members[found].value, at, l);
    }
    if (any_name(limits, requests, is_huge_page) && !any_name(limits, requests, is_cpu_or_memory)) {
        bad_forbidden(l, resources, at, "huge pages need a request or limit of cpu or memory beside them");
    }
    check_claims(pod, value_get(resources, "claims"), FPATH_AT(at, "claims"), l);
    check_resize(pod, value_get(container, "resizePolicy"), FPATH_AT(p, "resizePolicy"), l);
}

/* ---- Of a pod as a whole (v1.33) ---- */

#define POD_RESOURCES_MAX 64u /* cpu, memory, and more sizes of huge pages than any machine has */

bool pod_requests_sum(const struct value *spec, struct str name, int64_t *milli)
{
    const struct value *main = value_get(spec, "containers"), *init = value_get(spec, "initContainers");
    int64_t sum = 0, most = 0, n;
    VALUE_FOR(i, init)
    {
        const struct value *c = value_item(init, i);
        struct str s = value_to_str(value_get_str_key(value_at(c, "resources", "requests", NULL), name));
        if (s.n == 0 || !quantity_milli(s, &n)) {
            n = 0;
        }
        if (str_is(value_to_str(value_get(c, "restartPolicy")), "Always")) {
            if (__builtin_add_overflow(sum, n, &sum)) {
                return false;
            }
            most = MAX(most, sum);
        } else if (__builtin_add_overflow(sum, n, &n)) {
            return false;
        } else {
            most = MAX(most, n);
        }
    }
    VALUE_FOR(i, main)
    {
        struct str s =
            value_to_str(value_get_str_key(value_at(value_item(main, i), "resources", "requests", NULL), name));
        if (s.n > 0 && quantity_milli(s, &n) && __builtin_add_overflow(sum, n, &sum)) {
            return false;
        }
    }
    *milli = MAX(most, sum);
    return true;
}

bool pod_resource_is_whole(struct str name)
{
    return is_cpu_or_memory(name) || is_huge_page(name);
}

static void check_pod_names(struct errlist *l, const struct value *list, const struct fpath *p)
{
    check_container_resources(l, list, p);
    for (unsigned i = 0; i < value_count(list) && l->count < ERRLIST_MAX; i++) {
        const struct value_member *m = &list->map.members[i];
        if (!pod_resource_is_whole(m->key)) {
            bad_choice(l, key_value(l, m), FPATH_KEY(p, m->key), "cpu|hugepages-SIZE|memory");
        }
    }
}

void pod_resources_check(const struct value *spec, const struct fpath *p, struct errlist *l)
{
    const struct value *resources = value_get(spec, "resources"), *main = value_get(spec, "containers");
    const struct value *limits = value_get(resources, "limits"), *requests = value_get(resources, "requests");
    if (resources == NULL) {
        return;
    }
    if (value_count(value_get(resources, "claims")) > 0) {
        bad_forbidden(l, value_get(resources, "claims"), FPATH_AT(p, "claims"),
                      "claims cannot be set for the pod as a whole");
    }
    if (value_count(limits) > POD_RESOURCES_MAX || value_count(requests) > POD_RESOURCES_MAX) {
        errlist_add(l, ERROR_CAUSE_TOO_MANY, resources, fpath_text(l->arena, p),
                    "Too many: must have at most %u requests and limits", POD_RESOURCES_MAX);
        return;
    }
    check_pod_names(l, limits, FPATH_AT(p, "limits"));
    check_pod_names(l, requests, FPATH_AT(p, "requests"));
    for (unsigned i = 0; i < value_count(requests); i++) {
        const struct value_member *m = &requests->map.members[i];
        int64_t milli, sum;
        check_against_limit(m, value_get_str_key(limits, m->key), p, l);
        if (quantity_milli(value_to_str(m->value), &milli) && (!pod_requests_sum(spec, m->key, &sum) || sum > milli)) {
            bad_value(l, m->value, FPATH_KEY(FPATH_AT(p, "requests"), m->key),
                      "must be greater than or equal to what the containers request together");
        }
    }
    VALUE_FOR(i, main)
    {
        const struct value *own = value_at(value_item(main, i), "resources", "limits", NULL);
        for (unsigned k = 0; k < value_count(own); k++) {
            const struct value_member *m = &own->map.members[k];
            const struct value *most = value_get_str_key(limits, m->key);
            if (most != NULL && quantity_cmp(value_to_str(m->value), value_to_str(most)) > 0) {
                bad_value(
                    l, m->value,
                    FPATH_KEY(FPATH_AT(FPATH_AT(FPATH_ITEM(FPATH_AT(p->up, "containers"), i), "resources"), "limits"),
                              m->key),
                    arena_printf(l->arena, "must be less than or equal to the pod's limit of %.*s",
                                 STR_ARG(value_to_str(most))));
            }
        }
    }
}
