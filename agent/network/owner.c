#include "agent/network/network_int.h"

#include <arpa/inet.h>
#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/util/fsutil.h"

/* A note is a file DIR/UID of lines: "ip 10.244.1.5", "routed", "port tcp 8080 80 10.0.0.1" ("-" for all addresses).
 * Leases are files named by the address, with the uid as their first line (leases.h). */

#define NOTE_MAX (16u << 10)

static const char *protocol_of(const char *name)
{
    return name == NULL || name[0] == '\0' ? "tcp"
           : strcasecmp(name, "udp") == 0  ? "udp"
           : strcasecmp(name, "sctp") == 0 ? "sctp"
                                           : "tcp";
}

/* An address of another family than the pods' has no rule: NULL. "" for all. */
static const char *host_ip_of(const char *text)
{
    struct in_addr a;
    if (text == NULL || text[0] == '\0' || strcmp(text, "-") == 0) {
        return "";
    }
    if (inet_pton(AF_INET, text, &a) != 1) {
        return strcmp(text, "::") == 0 ? "" : NULL;
    }
    return a.s_addr == 0 ? "" : text;
}

static void add_port(struct network_owner *w, const char *protocol, unsigned host, unsigned container,
                     const char *host_ip)
{
    const char *ip = host_ip_of(host_ip);
    if (w->ports_count == NETWORK_PORTS_MAX || ip == NULL || host == 0 || host > UINT16_MAX || container == 0 ||
        container > UINT16_MAX) {
        return;
    }
    w->ports = xrealloc(w->ports, (w->ports_count + 1) * sizeof *w->ports);
    struct network_owner_port *p = &w->ports[w->ports_count++];
    *p = (struct network_owner_port){(uint16_t)host, (uint16_t)container, protocol_of(protocol), ""};
    snprintf(p->host_ip, sizeof p->host_ip, "%s", ip);
}

static struct network_owner *new_owner(struct network_owners *o, const char *uid)
{
    struct network_owner *w = xcalloc(1, sizeof *w);
    snprintf(w->uid, sizeof w->uid, "%s", uid);
    list_push_back(&o->list, &w->link);
    return w;
}

static void free_owner(struct network_owner *w)
{
    list_remove(&w->link);
    free(w->ports);
    free(w);
}

struct network_owner *network_owners_find(const struct network_owners *o, const char *uid)
{
    LIST_FOR(it, &o->list)
    {
        struct network_owner *w = LIST_ENTRY(it, struct network_owner, link);
        if (strcmp(w->uid, uid) == 0) {
            return w;
        }
    }
    return NULL;
}

int network_owners_keep(const struct network_owners *o, const struct network_owner *w, struct error *err)
{
    CLEANUP_BUF struct buf b = BUF_INIT;
    CLEANUP_FREE char *path = xasprintf("%s/%s", o->dir, w->uid);
    if (w->ip[0] != '\0') {
        buf_printf(&b, "ip %s\n", w->ip);
    }
    buf_puts(&b, w->routed ? "routed\n" : "");
    for (unsigned i = 0; i < w->ports_count; i++) {
        const struct network_owner_port *p = &w->ports[i];
        buf_printf(&b, "port %s %u %u %s\n", p->protocol, p->host_port, p->container_port,
                   p->host_ip[0] != '\0' ? p->host_ip : "-");
    }
    return fs_write_file(path, buf_str(&b), 0600, false, err);
}

struct network_owner *network_owners_add(struct network_owners *o, const char *uid, const struct network_port *ports,
                                         unsigned count, struct error *err)
{
    assert(network_owners_find(o, uid) == NULL);
    struct network_owner *w = new_owner(o, uid);
    w->routed = true;
    for (unsigned i = 0; i < count; i++) {
        add_port(w, ports[i].protocol, ports[i].host_port, ports[i].container_port, ports[i].host_ip);
    }
    if (network_owners_keep(o, w, err) != 0) {
        free_owner(w);
        return NULL;
    }
    return w;
}

void network_owners_forget(struct network_owner *take, const struct network_owners *o)
{
    CLEANUP_FREE char *path = xasprintf("%s/%s", o->dir, take->uid);
    unlink(path);
    free_owner(take);
}

/* ---- What is there ---- */

static void read_line(struct network_owner *w, const char *line)
{
    char protocol[8], host_ip[INET_ADDRSTRLEN];
    unsigned host, container;
    struct in_addr a;
    w->routed = w->routed || strcmp(line, "routed") == 0;
    if (strncmp(line, "ip ", 3) == 0 && inet_pton(AF_INET, line + 3, &a) == 1) {
        inet_ntop(AF_INET, &a, w->ip, sizeof w->ip);
    } else if (sscanf(line, "port %7s %u %u %15s", protocol, &host, &container, host_ip) == 4) {
        add_port(w, protocol, host, container, host_ip);
    }
}

static void read_note(struct network_owners *o, const char *uid)
{
    CLEANUP_BUF struct buf b = BUF_INIT;
    CLEANUP_FREE char *path = xasprintf("%s/%s", o->dir, uid);
    struct network_owner *w = new_owner(o, uid);
    if (fs_read_file(path, NOTE_MAX, &b, NULL) != 0) {
        return; /* damaged: an owner all the same, of which nothing is known */
    }
    for (char *line = (char *)(uintptr_t)buf_cstr(&b), *end; *line != '\0'; line = end) {
        end = line + strcspn(line, "\n");
        end += *end == '\n' ? (*end = '\0', 1) : 0;
        read_line(w, line);
    }
}

static void read_lease(struct network_owners *o, const char *address)
{
    char uid[128];
    struct in_addr a;
    CLEANUP_FREE char *path = xasprintf("%s/%s", o->leases, address);
    if (inet_pton(AF_INET, address, &a) == 1 && fs_read_line(path, uid, sizeof uid)) {
        uid[strcspn(uid, "\r\n ")] = '\0';
        size_t n = strlen(uid);
        if (n > 0 && n < sizeof((struct network_owner *)0)->uid && strchr(uid, '/') == NULL &&
            network_owners_find(o, uid) == NULL) {
            new_owner(o, uid);
        }
    }
}

static void each_file(struct network_owners *o, const char *dir,
                      void (*read_one)(struct network_owners *o, const char *name))
{
    struct dirent **names;
    int count = scandir(dir, &names, NULL, alphasort);
    for (int i = 0; i < count; i++) {
        const char *name = names[i]->d_name;
        if (fs_is_leftover(name)) {
            CLEANUP_FREE char *path = xasprintf("%s/%s", dir, name);
            unlink(path);
        } else if (name[0] != '.' && strlen(name) < sizeof((struct network_owner *)0)->uid) {
            read_one(o, name);
        }
        free(names[i]);
    }
    if (count >= 0) {
        free(names);
    }
}

int network_owners_open(struct network_owners *o, const char *dir, const char *network, struct error *err)
{
    list_init(&o->list);
    o->dir = xasprintf("%s/results", dir);
    o->leases = xasprintf("%s/leases/%s", dir, network);
    int rc = fs_make_dirs(o->dir, 0700, err);
    if (rc == 0) {
        each_file(o, o->dir, read_note);
        each_file(o, o->leases, read_lease);
    }
    return rc;
}

void network_owners_close(struct network_owners *o)
{
    LIST_FOR_SAFE(it, &o->list)
    {
        free_owner(LIST_ENTRY(it, struct network_owner, link));
    }
    free(o->dir);
    free(o->leases);
}
