uniform mat3 ray;
in vec2 corner;
out vec4 pixel;

float cloud(vec2 at) {
  return 0.66 * texture(noise, at * 0.052).z + 0.22 * texture(noise, at * 0.17 + 0.4).z
       + 0.12 * texture(noise, at * 0.61 + 0.7).z;
}

void main() {
  vec3 direction = normalize(ray * vec3(corner, 1.0));
  float rise = max(direction.z, 0.0), glow = max(dot(direction, sun), 0.0);
  vec2 at = direction.xy / (rise + 0.22) * 1.2;
  float start = 0.72 - 0.46 * clouds, density = cloud(at);
  float cover = smoothstep(start, start + 0.13, density) * smoothstep(0.0, 0.09, rise);
  float towards_sun = cloud(at + sun.xy * 0.5);  // where clouds are thicker that way, this part is in their shade
  float bright = clamp(0.85 - 3.0 * (towards_sun - density) - 1.1 * max(density - start - 0.13, 0.0), 0.3, 1.2);
  vec3 white = sky_horizon * 0.6 + sky_zenith * 0.15 + sun_color * (0.55 * bright + 0.35 * pow(glow, 12.0));
  white = mix(white, sky_horizon, exp(-9.0 * rise));
  vec3 light = mix(air_color(direction) + sun_color * 0.25 * pow(glow, 60.0), white, 0.94 * cover);
  light += sun_color * 9.0 * smoothstep(0.99985, 0.99995, glow) * (1.0 - cover);
  pixel = vec4(film(light), label);
}
