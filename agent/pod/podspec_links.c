/* Services in a container's environment. Source: Kubernetes' "Discovering services", environment variables. */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>

#include "agent/pod/podspec.h"
#include "agent/service/known.h"

struct links {
    struct arena *a;
    void (*set)(void *data, const char *name, const char *value);
    void *data;
};

/* "redis-leader" -> "REDIS_LEADER" */
static char *variable_of(struct arena *a, struct str name)
{
    char *out = arena_strndup(a, name.p, name.n);
    for (char *c = out; *c != '\0'; c++) {
        *c = *c == '-' ? '_' : (char)toupper((unsigned char)*c);
    }
    return out;
}

static void one(const struct links *l, const char *prefix, const char *suffix, const char *value)
{
    l->set(l->data, arena_printf(l->a, "%s_%s", prefix, suffix), value);
}

static void port_links(const struct links *l, const char *prefix, const char *ip, struct mp port, bool is_first)
{
    struct str given = mp_str(mp_get(port, "protocol")), name = mp_str(mp_get(port, "name"));
    const char *upper = variable_of(l->a, given.n > 0 ? given : STR("TCP"));
    char *lower = arena_strndup(l->a, upper, strlen(upper));
    for (char *c = lower; *c != '\0'; c++) {
        *c = (char)tolower((unsigned char)*c);
    }
    const char *number = arena_printf(l->a, "%lld", (long long)mp_int(mp_get(port, "port"), 0));
    const char *url = arena_printf(l->a, "%s://%s:%s", lower, ip, number);
    const char *link = arena_printf(l->a, "%s_PORT_%s_%s", prefix, number, upper);
    if (is_first) {
        one(l, prefix, "SERVICE_PORT", number);
        one(l, prefix, "PORT", url);
    }
    if (name.n > 0) {
        one(l, prefix, arena_printf(l->a, "SERVICE_PORT_%s", variable_of(l->a, name)), number);
    }
    l->set(l->data, link, url);
    one(l, link, "PROTO", lower);
    one(l, link, "PORT", number);
    one(l, link, "ADDR", ip);
}

static void service_links(const struct links *l, const struct object *service)
{
    struct mp spec = object_spec(service);
    struct str text = mp_str(mp_get(spec, "clusterIP"));
    const char *ip = arena_strndup(l->a, text.p, text.n), *prefix = variable_of(l->a, service->name);
    bool is_first = true;
    one(l, prefix, "SERVICE_HOST", ip);
    for (struct mp_iter it = mp_iter(mp_get(spec, "ports")); mp_next(&it); is_first = false) {
        port_links(l, prefix, ip, it.value, is_first);
    }
}

void podspec_service_links(const struct known *services, struct str ns, bool all, struct arena *a,
                           void (*set)(void *data, const char *name, const char *value), void *data)
{
    const struct links l = {a, set, data};
    const struct object *api = known_service(services, STR("default"), STR("kubernetes"));
    unsigned count;
    if (api != NULL && known_ip(mp_str(mp_get(object_spec(api), "clusterIP"))) != 0) {
        service_links(&l, api);
    }
    const struct object **list = known_services(services, ns, all ? PODSPEC_LINKS_MAX : 0, &count);
    for (unsigned i = 0; i < count; i++) {
        if (list[i] != api) {
            service_links(&l, list[i]);
        }
    }
    free(list);
}
