/* Rules for affinity and topology spread. */
#include "proto/kinds/storage.h"

#define REQUIRED_RULE  "requiredDuringSchedulingIgnoredDuringExecution"
#define PREFERRED_RULE "preferredDuringSchedulingIgnoredDuringExecution"

static bool is_integer(struct str s)
{
    size_t i = s.n > 0 && s.p[0] == '-' ? 1 : 0;
    if (i == s.n || s.n > 18) {
        return false;
    }
    for (; i < s.n; i++) {
        if (s.p[i] < '0' || s.p[i] > '9') {
            return false;
        }
    }
    return true;
}

static void check_expression(const struct value *e, const struct fpath *p, struct errlist *l)
{
    const struct value *values = value_get(e, "values");
    struct str op = value_to_str(value_get(e, "operator"));
    check_label_key(l, e, value_get(e, "key"), FPATH_AT(p, "key"));
    if (in_choices(op, "In|NotIn") && value_count(values) == 0) {
        errlist_add(l, ERROR_CAUSE_REQUIRED, e, fpath_text(l->arena, FPATH_AT(p, "values")),
                    "Required value: must be specified when `operator` is 'In' or 'NotIn'");
    } else if (in_choices(op, "Exists|DoesNotExist") && value_count(values) > 0) {
        bad_forbidden(l, values, FPATH_AT(p, "values"),
                      "may not be specified when `operator` is 'Exists' or 'DoesNotExist'");
    } else if (in_choices(op, "Gt|Lt")) {
        if (value_count(values) != 1 || !is_integer(value_to_str(value_item(values, 0)))) {
            errlist_add(l, ERROR_CAUSE_REQUIRED, values != NULL ? values : e,
                        fpath_text(l->arena, FPATH_AT(p, "values")),
                        "Required value: must be a single whole number when `operator` is 'Lt' or 'Gt'");
        }
    }
}

static void check_match_field(const struct value *e, const struct fpath *p, struct errlist *l)
{
    const struct value *key = value_get(e, "key"), *op = value_get(e, "operator");
    if (!str_is(value_to_str(key), "metadata.name")) {
        bad_choice(l, key, FPATH_AT(p, "key"), "metadata.name");
    }
    if (!in_choices(value_to_str(op), "In|NotIn")) {
        bad_choice(l, op, FPATH_AT(p, "operator"), "In|NotIn");
    } else if (value_count(value_get(e, "values")) != 1) {
        errlist_add(l, ERROR_CAUSE_REQUIRED, e, fpath_text(l->arena, FPATH_AT(p, "values")),
                    "Required value: must have one element");
    } else {
        check_dns_subdomain(l, e, value_item(value_get(e, "values"), 0), FPATH_ITEM(FPATH_AT(p, "values"), 0));
    }
}

static void check_node_term(const struct value *term, const struct fpath *p, struct errlist *l)
{
    const struct value *labels = value_get(term, "matchExpressions"), *fields = value_get(term, "matchFields");
    VALUE_FOR(i, labels)
    {
        check_expression(value_item(labels, i), FPATH_ITEM(FPATH_AT(p, "matchExpressions"), i), l);
    }
    VALUE_FOR(i, fields)
    {
        check_match_field(value_item(fields, i), FPATH_ITEM(FPATH_AT(p, "matchFields"), i), l);
    }
}

void node_selector_check(const struct value *selector, const struct fpath *p, struct errlist *l)
{
    const struct value *terms = value_get(selector, "nodeSelectorTerms");
    VALUE_FOR(i, terms)
    {
        check_node_term(value_item(terms, i), FPATH_ITEM(FPATH_AT(p, "nodeSelectorTerms"), i), l);
    }
}

static void check_node_affinity(const struct value *affinity, const struct fpath *p, struct errlist *l)
{
    const struct value *wishes = value_get(affinity, PREFERRED_RULE);
    node_selector_check(value_get(affinity, REQUIRED_RULE), FPATH_AT(p, REQUIRED_RULE), l);
    VALUE_FOR(i, wishes)
    {
        const struct fpath *at = FPATH_ITEM(FPATH_AT(p, PREFERRED_RULE), i);
        check_range(l, value_get(value_item(wishes, i), "weight"), FPATH_AT(at, "weight"), 1, 100);
        check_node_term(value_get(value_item(wishes, i), "preference"), FPATH_AT(at, "preference"), l);
    }
}

static bool selector_names(const struct value *selector, struct str key)
{
    return value_get_str_key(value_get(selector, "matchLabels"), key) != NULL ||
           value_find(value_get(selector, "matchExpressions"), "key", key) != NULL;
}

/* They are compared with each other and with the selector. */
static bool has_too_many_keys(struct errlist *l, const struct value *keys, const struct fpath *p)
{
    if (value_count(keys) > KIND_LIST_MAX) {
        errlist_add(l, ERROR_CAUSE_TOO_MANY, keys, fpath_text(l->arena, p), "Too many: %u: must have at most %u items",
                    value_count(keys), KIND_LIST_MAX);
    }
    return value_count(keys) > KIND_LIST_MAX;
}

/* Labels of the pod itself that join the selector: so there is one, and it does not know them already. */
static void check_label_keys(const struct value *term, const char *name, bool once, const struct fpath *p,
                             struct errlist *l)
{
    const struct value *keys = value_get(term, name), *selector = value_get(term, "labelSelector");
    const struct fpath *at = FPATH_AT(p, name);
    if (value_count(keys) == 0) {
        return;
    }
    if (has_too_many_keys(l, keys, at)) {
        return;
    }
    if (selector == NULL) {
        bad_forbidden(l, keys, at, "must not be specified when labelSelector is not set");
    }
    VALUE_FOR(i, keys)
    {
        struct str key = value_to_str(value_item(keys, i));
        if (!name_is_label_key(key)) {
            bad_value(l, value_item(keys, i), FPATH_ITEM(at, i), NAME_LABEL_KEY_WHY);
        } else if (once && selector_names(selector, key)) {
            bad_value(l, value_item(keys, i), FPATH_ITEM(at, i),
                      arena_printf(l->arena, "exists in both %s and labelSelector", name));
        }
    }
}

static void check_both_label_keys(const struct value *term, const struct fpath *p, struct errlist *l)
{
    const struct value *match = value_get(term, "matchLabelKeys"), *mismatch = value_get(term, "mismatchLabelKeys");
    check_label_keys(term, "matchLabelKeys", true, p, l);
    check_label_keys(term, "mismatchLabelKeys", false, p, l);
    if (value_count(match) > KIND_LIST_MAX || value_count(mismatch) > KIND_LIST_MAX) {
        return;
    }
    VALUE_FOR(i, match)
    {
        bool both = false;
        VALUE_FOR(j, mismatch) both = both || value_equal(value_item(match, i), value_item(mismatch, j));
        if (both) {
            bad_value(l, value_item(match, i), FPATH_ITEM(FPATH_AT(p, "matchLabelKeys"), i),
                      "exists in both matchLabelKeys and mismatchLabelKeys");
        }
    }
}

static void check_pod_term(const struct value *term, const struct fpath *p, struct errlist *l)
{
    const struct value *namespaces = value_get(term, "namespaces");
    check_label_selector(l, value_get(term, "labelSelector"), FPATH_AT(p, "labelSelector"));
    check_label_selector(l, value_get(term, "namespaceSelector"), FPATH_AT(p, "namespaceSelector"));
    check_label_key(l, term, value_get(term, "topologyKey"), FPATH_AT(p, "topologyKey"));
    check_both_label_keys(term, p, l);
    VALUE_FOR(i, namespaces)
    {
        check_dns_label(l, namespaces, value_item(namespaces, i), FPATH_ITEM(FPATH_AT(p, "namespaces"), i));
    }
}

static void check_pod_affinity(const struct value *affinity, const struct fpath *p, struct errlist *l)
{
    const struct value *terms = value_get(affinity, REQUIRED_RULE), *wishes = value_get(affinity, PREFERRED_RULE);
    VALUE_FOR(i, terms)
    {
        check_pod_term(value_item(terms, i), FPATH_ITEM(FPATH_AT(p, REQUIRED_RULE), i), l);
    }
    VALUE_FOR(i, wishes)
    {
        const struct fpath *at = FPATH_ITEM(FPATH_AT(p, PREFERRED_RULE), i);
        check_range(l, value_get(value_item(wishes, i), "weight"), FPATH_AT(at, "weight"), 1, 100);
        check_pod_term(value_get(value_item(wishes, i), "podAffinityTerm"), FPATH_AT(at, "podAffinityTerm"), l);
    }
}

static void check_spread(const struct value *list, unsigned i, const struct fpath *p, struct errlist *l)
{
    const struct value *c = value_item(list, i), *domains = value_get(c, "minDomains");
    check_at_least(l, value_get(c, "maxSkew"), FPATH_AT(p, "maxSkew"), 1);
    check_at_least(l, domains, FPATH_AT(p, "minDomains"), 1);
    check_label_key(l, c, value_get(c, "topologyKey"), FPATH_AT(p, "topologyKey"));
    check_label_selector(l, value_get(c, "labelSelector"), FPATH_AT(p, "labelSelector"));
    check_label_keys(c, "matchLabelKeys", true, p, l);
    if (domains != NULL && !str_is(value_to_str(value_get(c, "whenUnsatisfiable")), "DoNotSchedule")) {
        bad_value(l, domains, FPATH_AT(p, "minDomains"), "can only be used with whenUnsatisfiable: DoNotSchedule");
    }
    for (unsigned j = 0; j < i; j++) {
        const struct value *d = value_item(list, j);
        if (value_equal(value_get(c, "topologyKey"), value_get(d, "topologyKey")) &&
            value_equal(value_get(c, "whenUnsatisfiable"), value_get(d, "whenUnsatisfiable"))) {
            bad_duplicate(l, value_get(c, "topologyKey"), FPATH_AT(p, "topologyKey"));
            return;
        }
    }
}

void pod_affinity_check(const struct value *spec, const struct fpath *p, struct errlist *l)
{
    const struct value *affinity = value_get(spec, "affinity"), *spread = value_get(spec, "topologySpreadConstraints");
    const struct fpath *at = FPATH_AT(p, "affinity");
    check_node_affinity(value_get(affinity, "nodeAffinity"), FPATH_AT(at, "nodeAffinity"), l);
    check_pod_affinity(value_get(affinity, "podAffinity"), FPATH_AT(at, "podAffinity"), l);
    check_pod_affinity(value_get(affinity, "podAntiAffinity"), FPATH_AT(at, "podAntiAffinity"), l);
    VALUE_FOR(i, spread)
    {
        check_spread(spread, i, FPATH_ITEM(FPATH_AT(p, "topologySpreadConstraints"), i), l);
    }
}
