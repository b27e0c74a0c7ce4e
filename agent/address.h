/* The address by which others know this node: the one that was given at the start, or else the first of the interface
 * that has the default route, or 127.0.0.1. One that was found may change while the agent runs: when the machine has it
 * no more and has another one, all that is told and made with it follows, the links to the masters are made anew, and
 * the Node says so, which leads the other nodes' ways here. Loop thread only. */
#ifndef AGENT_ADDRESS_H
#define AGENT_ADDRESS_H

#include "agent/agent_int.h"

/* given: NULL, or what it shall be whatever the machine has. */
void address_open(struct agent *a, const char *given);
/* Every AGENT_CHECK_MS, and when masters are lost. */
void address_look(struct agent *a);

/* ---- In parts, for tests ---- */

/* The default route's interface and its first address, "" if there is none. Blocking, short. */
void address_find(char out[64]);
bool address_is_here(const char *ip); /* some interface has it */
/* It is this one from now on. */
void address_set(struct agent *a, const char *ip);

#endif
