/*
 * Many definitions: versions of one agent, registered one after the other, and then a host that
 * brings as many agents: from dialling to the server's Welcome.
 */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "tests/bench/load.h"

struct registrations {
    struct load *load;
    unsigned registered;
    uint64_t called_us;
};

static struct registrations registrations;

static void call(struct load *load);

static void answered(void *context, const struct polos_error *error, const ProtobufCMessage *answer)
{
    struct load *load = context;
    (void)answer;
    load_must(error);
    tally_add(&load->tally, polos_now_us() - registrations.called_us);
    if (++registrations.registered < load->options.count) {
        call(load);
    } else {
        tally_end(&load->tally);
        polos_loop_stop(load->loop);
    }
}

static void define(Polos__V1__AgentDefinition *agent, const char *id, char *prompt)
{
    static Polos__V1__ModelSpec model = POLOS__V1__MODEL_SPEC__INIT;
    static Polos__V1__ModelSpec *models[] = {&model};
    model.provider = (char *)"scripted";
    model.model = (char *)"scripted";
    polos__v1__agent_definition__init(agent);
    agent->id = (char *)id;
    agent->models = models;
    agent->n_models = 1;
    agent->system_prompt = prompt;
}

static void call(struct load *load)
{
    Polos__V1__AgentServiceRegisterRequest request =
        POLOS__V1__AGENT_SERVICE_REGISTER_REQUEST__INIT;
    Polos__V1__AgentDefinition agent;
    char prompt[64];
    snprintf(prompt, sizeof(prompt), "Today is day %u.", registrations.registered);
    define(&agent, "bench-versions", prompt);
    request.agent = &agent;
    registrations.called_us = polos_now_us();
    polos_call(load->client, POLOS_AGENT_REGISTER, &request.base, 0, answered, load);
}

/* How long the server took to take them. */
static uint64_t bring(struct load *load)
{
    Polos__V1__AgentDefinition agent;
    char id[32];
    load_host_make(load, 1);
    for (unsigned i = 0; i < load->options.count; i++) {
        snprintf(id, sizeof(id), "bench-agent-%u", i);
        define(&agent, id, (char *)"You answer.");
        polos_host_offer_agent(load->host, &agent);
    }
    uint64_t dialled_us = polos_now_us();
    load_host_start(load);
    return polos_now_us() - dialled_us;
}

void load_definitions(struct load *load)
{
    tally_begin(&load->tally);
    call(load);
    polos_loop_run(load->loop);
    double growth = tally_growth(&load->tally);
    printf("{\"bench\": \"definitions\", \"count\": %u, \"growth\": %.3f, \"hello_us\": %llu, ",
           load->options.count, growth, (unsigned long long)bring(load));
    tally_print(&load->tally, load->options.count);
    printf("}\n");
}
