// @ts-check
// The address by which pages of other people load the dialog for remote signers (docs/page.md); it stays.

export * from "./signer/podium-signer.js";
