#include "agent/address.h"

#include <arpa/inet.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#include "agent/dataplane.h"
#include "agent/names.h"
#include "agent/pod/podops.h"

#define NOWHERE "127.0.0.1" /* of a machine without a default route */

static void default_interface(char name[IF_NAMESIZE])
{
    char line[256];
    unsigned destination;
    FILE *f = fopen("/proc/net/route", "re");
    name[0] = '\0';
    while (f != NULL && fgets(line, sizeof line, f) != NULL) {
        if (sscanf(line, "%15s %x", name, &destination) == 2 && destination == 0) {
            break;
        }
        name[0] = '\0';
    }
    if (f != NULL) {
        fclose(f);
    }
}

static bool ip_of(const struct ifaddrs *i, char out[INET_ADDRSTRLEN])
{
    struct sockaddr_in at;
    if (i->ifa_addr == NULL || i->ifa_addr->sa_family != AF_INET) {
        return false;
    }
    memcpy(&at, i->ifa_addr, sizeof at);
    return inet_ntop(AF_INET, &at.sin_addr, out, INET_ADDRSTRLEN) != NULL;
}

void address_find(char out[64])
{
    char name[IF_NAMESIZE], ip[INET_ADDRSTRLEN];
    struct ifaddrs *list = NULL;
    out[0] = '\0';
    default_interface(name);
    if (name[0] == '\0' || getifaddrs(&list) != 0) {
        return;
    }
    for (const struct ifaddrs *i = list; i != NULL && out[0] == '\0'; i = i->ifa_next) {
        if (strcmp(i->ifa_name, name) == 0 && ip_of(i, ip)) {
            snprintf(out, 64, "%s", ip);
        }
    }
    freeifaddrs(list);
}

bool address_is_here(const char *address)
{
    char ip[INET_ADDRSTRLEN];
    struct ifaddrs *list = NULL;
    bool here = false;
    if (getifaddrs(&list) != 0) {
        return true; /* not known: as it was */
    }
    for (const struct ifaddrs *i = list; i != NULL && !here; i = i->ifa_next) {
        here = ip_of(i, ip) && strcmp(ip, address) == 0;
    }
    freeifaddrs(list);
    return here;
}

void address_open(struct agent *a, const char *given)
{
    a->own_address = given == NULL && !a->hollow;
    if (given != NULL) {
        snprintf(a->node_ip, sizeof a->node_ip, "%s", given);
        return;
    }
    address_find(a->node_ip);
    if (a->node_ip[0] == '\0') {
        snprintf(a->node_ip, sizeof a->node_ip, NOWHERE);
    }
}

void address_set(struct agent *a, const char *ip)
{
    log_warn(a->log, "agent", "the address of this node was %s and is %s now", a->node_ip, ip);
    snprintf(a->node_ip, sizeof a->node_ip, "%s", ip);
    network_set_node(a->network, ip);
    dataplane_set_node(a);
    names_set_node(a);
    podops_node_ip_changed(a);
    report_node_dirty(a->report);
    session_redial(a->session); /* what was connected from the former address is silent, and noticed late */
}

/* One that is still there is kept, also beside others: what has several does not move between them. */
void address_look(struct agent *a)
{
    char found[64];
    if (!a->own_address || a->stopping || (strcmp(a->node_ip, NOWHERE) != 0 && address_is_here(a->node_ip))) {
        return;
    }
    address_find(found);
    if (found[0] != '\0' && strcmp(found, a->node_ip) != 0) {
        address_set(a, found);
    }
}
