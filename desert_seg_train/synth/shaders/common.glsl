// Prepended to every shader that shades: sky, sunlight, haze and the film curve. Class index in alpha, as a fraction of 255.
uniform mat4 view_projection, sun_near, sun_far;
uniform vec3 eye, sun, sun_color, sky_zenith, sky_horizon;
uniform float label, haze_per_m, ambient, exposure, clouds;
uniform sampler2DShadow shadow_near, shadow_far;
uniform sampler2D noise;  // xy: slope, z: 1/f noise, w: fine noise; all 0..1 and tiling

vec3 air_color(vec3 ray) {  // of the clear sky, and of haze in front of things: what is far melts into the sky behind it
  float glow = max(dot(ray, sun), 0.0);
  glow *= glow;
  return mix(sky_zenith, sky_horizon, exp(-4.5 * max(ray.z, 0.0))) + sun_color * 0.10 * glow * glow * glow;
}

vec3 film(vec3 light) {  // a filmic curve, then gamma 2, which is cheaper than 2.2 without a GPU
  light *= exposure;
  return sqrt(clamp(light * (2.51 * light + 0.03) / (light * (2.43 * light + 0.59) + 0.14), 0.0, 1.0));
}

vec4 shade(vec3 albedo, vec3 normal, float direct, vec3 place) {
  vec3 from_ground = sky_horizon * 0.45 + vec3(0.10, 0.07, 0.04), from_sky = sky_zenith + sky_horizon * 0.5;
  vec3 around = mix(from_ground, from_sky, normal.z * 0.5 + 0.5) * ambient;
  vec3 view = place - eye;
  float distance_m = length(view);
  vec3 haze = air_color(view / distance_m);
  vec3 light = mix(haze, albedo * (around + sun_color * direct), exp(-distance_m * haze_per_m));
  return vec4(film(light), label);
}

float sunlit(vec3 place) {  // 0..1, from two shadow maps
  vec3 at = (sun_near * vec4(place, 1.0)).xyz;
  if (max(abs(at.x), abs(at.y)) < 0.97) return texture(shadow_near, at * 0.5 + vec3(0.5, 0.5, 0.4994));
  at = (sun_far * vec4(place, 1.0)).xyz;
  return max(abs(at.x), abs(at.y)) > 0.97 ? 1.0 : texture(shadow_far, at * 0.5 + vec3(0.5, 0.5, 0.4985));
}
