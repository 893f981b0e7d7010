"""The hyperbolic tangent as a rational function, for whichever engine prints code: 3e-7 relative error in float32."""

# tanh(x) = x P(x^2) / Q(x^2) up to TANH_END, from where float32 has it as 1; the constant terms come first
TANH_P = (1.0, 0.13383332513827217, 0.003498225361915791, 2.064851613396053e-05, 1.3402015393887047e-08)
TANH_Q = (1.0, 0.467166538795268, 0.02588727795555189, 0.0003289775330452574, 7.797473553382935e-07)
TANH_END = 9.01
