declare module 'agent-booster/wasm/agent_booster_wasm.js';
