/* resolv.conf of a pod, and names of kernel settings. */
#include "agent/pod/podspec.h"
#include "agent/util/resolvconf.h"

static void add_all(struct resolvconf_words *w, const char *const *list)
{
    for (; list != NULL && *list != NULL; list++) {
        resolvconf_add(w, str_of(*list));
    }
}

static void write_line(struct buf *b, const char *lead, const struct resolvconf_words *words)
{
    for (unsigned i = 0; i < words->count; i++) {
        buf_printf(b, "%s %.*s", i == 0 ? lead : "", STR_ARG(words->list[i]));
    }
    buf_puts(b, words->count > 0 ? "\n" : "");
}

/* Names are looked up in the pod's namespace first, in the cluster then, and as the node does at last. One server only:
 * some resolvers ask all at once and take the first answer, also if it is "no such name". */
static void add_cluster(struct resolvconf *r, const struct podspec *s, const struct podspec_dns *cluster,
                        struct arena *a)
{
    struct resolvconf_words nodes = r->searches;
    r->servers.count = r->searches.count = 0;
    resolvconf_add(&r->servers, str_of(cluster->server));
    resolvconf_add(&r->searches, str_of(arena_printf(a, "%s.svc.%s", s->ns, cluster->domain)));
    resolvconf_add(&r->searches, str_of(arena_printf(a, "svc.%s", cluster->domain)));
    resolvconf_add(&r->searches, str_of(cluster->domain));
    for (unsigned i = 0; i < nodes.count; i++) {
        resolvconf_add(&r->searches, nodes.list[i]);
    }
    resolvconf_add_option(&r->options, STR("ndots:5"));
}

const char *podspec_resolv_conf(const struct podspec *s, struct str node_conf, const struct podspec_dns *cluster,
                                struct arena *a)
{
    CLEANUP_BUF struct buf b = BUF_INIT;
    struct resolvconf r;
    bool of_cluster = s->dns == PODSPEC_DNS_CLUSTER && cluster != NULL;
    if (s->dns != PODSPEC_DNS_NONE && !of_cluster && s->dns_servers == NULL && s->dns_searches == NULL &&
        s->dns_options == NULL) {
        return NULL;
    }
    resolvconf_init(&r);
    if (s->dns != PODSPEC_DNS_NONE) {
        resolvconf_read(&r, node_conf);
    }
    if (of_cluster) {
        r.options.count = 0; /* the node's are for its own servers */
        add_cluster(&r, s, cluster, a);
    }
    add_all(&r.servers, s->dns_servers);
    add_all(&r.searches, s->dns_searches);
    for (const char *const *o = s->dns_options; o != NULL && *o != NULL; o++) {
        resolvconf_add_option(&r.options, str_of(*o));
    }
    for (unsigned i = 0; i < r.servers.count; i++) {
        buf_printf(&b, "nameserver %.*s\n", STR_ARG(r.servers.list[i]));
    }
    write_line(&b, "search", &r.searches);
    write_line(&b, "options", &r.options);
    return arena_strndup(a, buf_cstr(&b), b.size);
}

const char *podspec_sysctl_name(struct arena *a, struct str name)
{
    char *out = arena_strndup(a, name.p == NULL ? "" : name.p, name.n);
    const char *first = strpbrk(out, "./");
    bool slashes = first != NULL && *first == '/';
    for (char *c = out; slashes && *c != '\0'; c++) {
        *c = *c == '/' ? '.' : *c == '.' ? '/' : *c;
    }
    return out;
}
