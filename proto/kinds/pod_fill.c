/* Defaults of pods that depend on more than one field. */
#include "proto/facts/condition.h"
#include "proto/facts/priority.h"
#include "proto/facts/qos.h"
#include "proto/kinds/volumes.h"
#include "proto/model/quantity.h"

static const char *const CONTAINER_LISTS[] = {"initContainers", "containers", "ephemeralContainers"};

/* An image that may change under its name is always asked for: no tag, or the tag latest. A digest never changes. */
const char *image_pull_default(struct str image)
{
    struct str tag = STR_NONE;
    for (size_t i = image.n; i-- > 0;) {
        if (image.p[i] == '@') {
            return "IfNotPresent";
        }
        if (image.p[i] == '/') {
            break; /* a colon before this is a port */
        }
        if (image.p[i] == ':') {
            tag = (struct str){image.p + i + 1, image.n - i - 1};
        }
    }
    return tag.n == 0 || str_is(tag, "latest") ? "Always" : "IfNotPresent";
}

/* A zero in these means "not said", as in the API's own encoding. */
static void probe_fill(struct arena *a, struct value *probe)
{
    static const struct {
        const char *name;
        int64_t fallback;
    } numbers[] = {{"timeoutSeconds", 1}, {"periodSeconds", 10}, {"successThreshold", 1}, {"failureThreshold", 3}};
    for (unsigned i = 0; value_is_map(probe) && i < ARRAY_SIZE(numbers); i++) {
        if (value_to_int(value_get(probe, numbers[i].name), 0) == 0) {
            value_set(a, probe, numbers[i].name, value_int(a, numbers[i].fallback));
        }
    }
}

/* What is filled in here may come from the store, written by a newer program: maps are looked at before they are
 * changed. */
static void container_fill(struct arena *a, struct value *c)
{
    if (!value_is_map(c)) {
        return;
    }
    if (value_to_str(value_get(c, "imagePullPolicy")).n == 0) {
        value_set(a, c, "imagePullPolicy", value_cstr(a, image_pull_default(value_to_str(value_get(c, "image")))));
    }
    probe_fill(a, value_get(c, "livenessProbe"));
    probe_fill(a, value_get(c, "readinessProbe"));
    probe_fill(a, value_get(c, "startupProbe"));
}

/* With the network of the node a port is a port of the node. Templates keep what was written. */
static void host_ports_fill(struct arena *a, struct value *c)
{
    const struct value *ports = value_get(c, "ports");
    for (unsigned i = 0; i < value_count(ports); i++) {
        struct value *port = value_item(ports, i),
                     *number = value_get(port, "containerPort"); /* NULL if it is no map */
        if (number != NULL && value_to_int(value_get(port, "hostPort"), 0) == 0) {
            value_set(a, port, "hostPort", value_copy(a, number));
        }
    }
}

void pod_spec_fill(struct arena *a, struct value *spec)
{
    if (!value_is_map(spec)) {
        return; /* the check that follows will say so */
    }
    for (unsigned i = 0; i < ARRAY_SIZE(CONTAINER_LISTS); i++) {
        const struct value *list = value_get(spec, CONTAINER_LISTS[i]);
        VALUE_FOR(j, list) container_fill(a, value_item(list, j));
    }
    const struct value *volumes = value_get(spec, "volumes");
    VALUE_FOR(i, volumes)
    {
        struct value *v = value_item(volumes, i);
        if (value_is_map(v) && value_count(v) == (value_get(v, "name") != NULL)) {
            value_set(a, v, "emptyDir", value_map(a));
        }
        for (unsigned k = 0; value_is_map(v) && k < value_count(v); k++) {
            struct value_member *m = &v->map.members[k];
            const struct volume_source *source = value_is_map(m->value) ? volume_source_find(m->key) : NULL;
            if (source != NULL && source->fill != NULL) {
                source->fill(a, m->value);
            }
        }
    }
    struct value *account = value_get(spec, "serviceAccount");
    if (value_to_str(account).n > 0 && value_to_str(value_get(spec, "serviceAccountName")).n == 0) {
        value_set(a, spec, "serviceAccountName", value_copy(a, account));
    }
}

/* What is limited but not requested is requested up to the limit. */
static void requests_fill(struct arena *a, struct value *container)
{
    struct value *resources = value_get(container, "resources"), *limits = value_get(resources, "limits");
    if (!value_is_map(limits) || value_count(limits) == 0) {
        return;
    }
    struct value *requests = value_ensure_map(a, resources, "requests");
    CLEANUP_VALUE_INDEX struct value_index index = value_index_new(requests);
    for (unsigned i = 0; i < value_count(limits); i++) {
        struct value_member *m = &limits->map.members[i];
        if (value_index_find(&index, m->key) == VALUE_NOT_FOUND) {
            value_push(a, requests, m->key, value_copy(a, m->value));
        }
    }
}

/* A pod that has resources as a whole: of what its containers request and it does not say, it requests their sum; of
 * what is limited and still not requested, the limit. Source: KEP-2837. */
static void whole_fill(struct arena *a, struct value *spec)
{
    struct value *whole = value_get(spec, "resources");
    int64_t milli;
    if (!value_is_map(whole) || value_count(whole) == 0) {
        return;
    }
    for (unsigned i = 0; i < 2; i++) {
        const struct value *list = value_get(spec, CONTAINER_LISTS[i]);
        VALUE_FOR(j, list)
        {
            const struct value *own = value_at(value_item(list, j), "resources", "requests", NULL);
            for (unsigned k = 0; k < value_count(own); k++) {
                struct str name = own->map.members[k].key;
                struct value *requests = value_get(whole, "requests");
                char text[QUANTITY_SIZE];
                if (!pod_resource_is_whole(name) || value_get_str_key(requests, name) != NULL ||
                    !pod_requests_sum(spec, name, &milli)) {
                    continue;
                }
                if (str_is(name, "cpu")) {
                    quantity_format_milli(milli, text);
                } else {
                    quantity_format_bytes(milli / 1000 + (milli % 1000 != 0), text);
                }
                value_set_str_key(a, value_ensure_map(a, whole, "requests"), name, value_cstr(a, text));
            }
        }
    }
    requests_fill(a, spec);
}

static bool amount(const struct value *resources, const char *which, const char *name, struct str *out)
{
    *out = value_to_str(value_get(value_get(resources, which), name));
    return out->n > 0 && quantity_cmp(*out, STR("0")) != 0;
}

static void qos_add(struct qos_sum *sum, const struct value *resources)
{
    static const char *const names[] = {"cpu", "memory"};
    for (unsigned n = 0; n < ARRAY_SIZE(names); n++) {
        struct str limit, request;
        bool limited = amount(resources, "limits", names[n], &limit);
        bool requested = amount(resources, "requests", names[n], &request);
        qos_count(sum, limited, requested, limited && requested && quantity_cmp(limit, request) == 0);
    }
}

/* "Resources of the pod as a whole, if it has any, decide alone." */
static const char *qos_class(const struct value *spec)
{
    const struct value *whole = value_get(spec, "resources");
    struct qos_sum sum = {0};
    if (value_count(value_get(whole, "requests")) + value_count(value_get(whole, "limits")) > 0) {
        qos_add(&sum, whole);
        return qos_name(qos_of(&sum));
    }
    for (unsigned i = 0; i < 2; i++) {
        const struct value *list = value_get(spec, CONTAINER_LISTS[i]);
        VALUE_FOR(j, list)
        {
            qos_add(&sum, value_get(value_item(list, j), "resources"));
        }
    }
    return qos_name(qos_of(&sum));
}

/* Of the built-in classes, which need no state. Others are looked up in it (controllers/priority.h). */
static void priority_fill(struct arena *a, struct value *spec)
{
    const struct priority_builtin *class = priority_builtin_find(value_to_str(value_get(spec, "priorityClassName")));
    if (class != NULL && value_get(spec, "priority") == NULL) {
        value_set(a, spec, "priority", value_int(a, class->value));
    }
}

/* "A pod with gates is not tried": it is said from the start, and without a time, as there is no clock here. */
static void gated_fill(struct arena *a, const struct value *spec, struct value *status)
{
    if (value_count(value_get(spec, "schedulingGates")) == 0 || !value_is_map(status) ||
        condition_get(status, "PodScheduled") != NULL) {
        return;
    }
    struct value *c = value_map(a);
    value_set(a, c, "type", value_cstr(a, "PodScheduled"));
    value_set(a, c, "status", value_cstr(a, "False"));
    value_set(a, c, "reason", value_cstr(a, "SchedulingGated"));
    value_set(a, c, "message", value_cstr(a, "Scheduling is blocked due to non-empty scheduling gates"));
    value_append(a, value_ensure_list(a, status, "conditions"), c);
}

/* What a manifest that comes again does not say, and what the pod got when it was made. */
void pod_keep(struct arena *a, struct value *obj, const struct value *old)
{
    static const char *const given[] = {"priorityClassName", "priority", "preemptionPolicy"};
    struct value *spec = value_get(obj, "spec");
    for (size_t i = 0; value_is_map(spec) && i < ARRAY_SIZE(given); i++) {
        const struct value *had = value_at(old, "spec", given[i], NULL);
        if (had != NULL && value_is_null(value_get(spec, given[i]))) {
            value_set(a, spec, given[i], value_copy(a, had));
        }
    }
}

void pod_fill(struct arena *a, struct value *obj)
{
    struct value *spec = value_get(obj, "spec"), *status = value_ensure_map(a, obj, "status");
    pod_spec_fill(a, spec);
    if (value_to_str(value_get(status, "phase")).n == 0) {
        value_set(a, status, "phase", value_cstr(a, "Pending"));
    }
    if (!value_is_map(spec)) {
        return;
    }
    for (unsigned i = 0; i < 2; i++) {
        const struct value *list = value_get(spec, CONTAINER_LISTS[i]);
        VALUE_FOR(j, list)
        {
            requests_fill(a, value_item(list, j));
            if (value_to_bool(value_get(spec, "hostNetwork"), false)) {
                host_ports_fill(a, value_item(list, j));
            }
        }
    }
    whole_fill(a, spec);
    priority_fill(a, spec);
    gated_fill(a, spec, status);
    if (value_get(spec, "enableServiceLinks") == NULL) {
        value_set(a, spec, "enableServiceLinks", value_bool(a, true));
    }
    if (value_to_str(value_get(status, "qosClass")).n == 0) {
        value_set(a, status, "qosClass", value_cstr(a, qos_class(spec)));
    }
}
